"""Factors held to what is known besides ratings: a half-step of the items, each held to what is
predicted by what is said of it, and one of the users.
"""

from functools import partial

from emberline.cf.als import starts
from emberline.cf.als.objective import Objective
from emberline.cf.als.solvers import Solver
from emberline.datasets.rows import only, unchanged
from emberline.factors.exchange import Exchange
from emberline.factors.fit import continued
from emberline.flow.rows import Source
from emberline.models import CONTENT
from emberline.scoring.sources import Chosen, distinct


def blend(
    exchange: Exchange,
    objective: Objective,
    rank: int,
    own: Source,
    predicted: Source,
    prior: float,
) -> None:
    """Solve items and users of an exchange, which has the users' factors, once more, and exactly.

    own: factors of items, to which those are held of which nothing is predicted.
    """
    answered = distinct(predicted, "item")
    task = partial(only, value=CONTENT.name)
    said = predicted.map(("item", "factors", "model"), task, starts.EARLIER)
    others = Chosen(own, "item", answered, others=True)
    means = said.union(others.map(("item", "factors"), unchanged, starts.EARLIER))
    exchange.load("item", continued(exchange.ratings, "item", means, objective, rank))
    exchange.half_step("item", objective, Solver("cholesky", prior=prior))
    exchange.half_step("user", objective, Solver("cholesky"))
