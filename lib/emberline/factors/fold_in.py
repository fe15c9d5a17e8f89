"""Items folded in: their factors from users' that stay as they are."""

from dataclasses import replace

import numpy as np

from emberline.cf.als import gramians, starts
from emberline.cf.als.gramians import Grams
from emberline.cf.als.solvers import Solver
from emberline.cf.als.steps import Step
from emberline.cf.blocks import rows_of
from emberline.datasets.facts import Values
from emberline.datasets.rows import unchanged
from emberline.datasets.storage import Location
from emberline.factors import packing as rating_blocks
from emberline.factors import plan as als_plan
from emberline.factors.fit import continued, exchange_of, published
from emberline.factors.purposes import objective_of
from emberline.flow.rows import Flow, Rows, Source
from emberline.numeric.arrays import Float64
from emberline.sections.als import AlsConfig


def fold_in_items(
    flow: Flow,
    ratings: Source,
    user_factors: Source,
    config: AlsConfig,
    known: Values,
    scratch: Location,
) -> Rows:
    """Columns item and factors of the items that `ratings` (user, item, value) name, solved exactly
    from the users'.

    `config` is of the fit that makes lists; `known` has the mean and the deviation of the ratings
    that the users were fitted to.
    """
    objective = replace(
        objective_of(config, True), mean=known.value_mean, deviation=known.value_deviation
    )
    sizes = als_plan.measure(ratings, config.rank)
    plan = als_plan.choose(config, sizes, flow)
    packed = rating_blocks.pack(
        ratings, plan.blocks, scratch / "packed" if plan.exchange == "shuffle" else None
    )
    exchange = exchange_of(plan.exchange, packed, sizes.width, scratch)
    published_users = user_factors.map(("user", "factors"), unchanged, starts.EARLIER)
    exchange.load("user", continued(packed, "user", published_users, objective, config.rank))
    solver = Solver("cholesky", nonnegative=config.nonnegative)  # from zero, which is far
    gram = gramian_of(user_factors, sizes.width)
    exchange.solve("item", Step(objective, solver, Grams(gram, gram, user_factors.count(), 0)))
    return published(exchange.blocks("item"), "item", objective)


def gramian_of(factors: Source, width: int) -> Float64:
    """Of published factors without biases; where there are biases, what was not observed weighs
    nothing.
    """
    sums = factors.map(("factors",), gramians.sum_gramians, gramians.GRAMIANS)
    found = rows_of(sums.table().to_batches())
    total = sum((np.frombuffer(row["gramian"]) for row in found), np.zeros(1))
    side = round(len(total) ** 0.5)
    return total.reshape(side, side)[:width, :width]
