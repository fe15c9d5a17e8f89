"""Factors held to what is known besides ratings: a half-step of the items, each held to what is
predicted by what is said of it, and one of the users, each held to what is known of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from emberline.cf.als import starts
from emberline.cf.als.objective import Objective
from emberline.cf.als.packing import SIDES
from emberline.cf.als.solvers import Solver
from emberline.datasets.rows import only, unchanged
from emberline.factors.earlier import published as earlier
from emberline.factors.exchange import Exchange
from emberline.factors.fit import continued
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import ALS, CONTENT, CONTENT_USER
from emberline.runs.inputs import Inputs
from emberline.scoring.sources import Chosen, distinct

_PREDICTED = {
    "item": (CONTENT.name, *CONTENT.new_items, "prior"),
    "user": (CONTENT_USER.name, *CONTENT_USER.new_users, "user_prior"),
}


@dataclass(frozen=True)
class Held:
    """What rows of a side are held to, and how strongly: what a model predicts of them, or their
    own factors where it says nothing.
    """

    own: Source
    predicted: Source
    model: str
    prior: float

    def means(self, side: str) -> Rows:
        """starts.EARLIER."""
        task = partial(only, value=self.model)
        said = self.predicted.map((side, "factors", "model"), task, starts.EARLIER)
        others = Chosen(self.own, side, distinct(self.predicted, side), others=True)
        return said.union(others.map((side, "factors"), unchanged, starts.EARLIER))


def held_of(flow: Flow, inputs: Inputs, settings: Mapping[str, Any]) -> dict[str, Held]:
    """By side, where something is predicted of it; settings: those of [content]."""
    return {
        side: Held(flow.read(inputs[own]), flow.read(inputs[table]), model, float(settings[name]))
        for side, own in zip(SIDES, ALS.lists, strict=True)
        for model, table, name in [_PREDICTED[side]]
        if table in inputs and inputs[table].rows and settings[name]
    }


def load(exchange: Exchange, flow: Flow, inputs: Inputs, objective: Objective, rank: int) -> None:
    """Give an exchange the factors that are trained."""
    for side, name in zip(SIDES, ALS.lists, strict=True):
        before = earlier(flow, side, inputs[name])
        exchange.load(side, continued(exchange.ratings, side, before, objective, rank))


def blend(exchange: Exchange, objective: Objective, rank: int, held: Mapping[str, Held]) -> None:
    """Solve the items that are held, and then the users, of an exchange that has both sides'
    factors, once more, and exactly.
    """
    for side in reversed(SIDES):
        by = held.get(side)
        if by:
            means = continued(exchange.ratings, side, by.means(side), objective, rank)
            exchange.load(side, means)
        if by or side == "user":
            exchange.half_step(side, objective, Solver("cholesky", prior=by.prior if by else 0.0))
