"""Ratings predicted from neighbours, for pairs of users and items: see cf/cosine/.

What ratings deviate from their biases by is packed into the blocks that train-cosine makes. Each
block of targets' rows takes the pairs that want them, and meets every block of the others' columns,
in which both the similarities and the owners' ratings are.
"""

from functools import partial
from typing import Literal

from emberline.cf.cosine import prediction
from emberline.cf.cosine.neighborhood import Rule
from emberline.cf.cosine.similarity import Damping
from emberline.cf.entries import PIECES, scatter
from emberline.flow.rows import Flow, Rows, Source
from emberline.neighbors.packing import Grid, columns_of, pack
from emberline.sections.cosine import CosineConfig, NeighborRatingsConfig

Side = Literal["user", "item"]


def deviations(
    flow: Flow,
    pairs: Source,
    residuals: Source,
    side: Side,
    config: CosineConfig,
    grid: Grid | None = None,
) -> Rows:
    """Columns user, item and deviation of those pairs that have an answer, from the nearest items,
    or users, as `side` says.

    residuals: user, item and value, of all known ratings, less their biases.
    """
    owner: Side = "user" if side == "item" else "item"
    rule = _rule(config.ratings)
    grid = grid or Grid.of(residuals.count(), flow.cores)
    plain = config.model_copy(update={"weighting": "none", "center": "none"})
    rows = pack(residuals, side, owner, plain, grid.rows).kept()
    right = columns_of(rows, grid.columns)
    both = _widened(rows).union(_widened(_wanted(pairs, side, owner, grid.rows)))
    wanting = both.together(grid.rows).map(prediction.beside_pairs, prediction.WANTING)
    cells = wanting.beside(right)
    if grid.columns == 1:
        task = partial(prediction.look_up_and_predict, rule=rule)
        found = cells.map(task, prediction.DEVIATIONS)
    else:
        rated = cells.map(partial(prediction.look_up, rule=rule), prediction.RATED)
        together = rated.together(grid.rows, order=("block", "start"))
        found = together.map(partial(prediction.predict, rule=rule), prediction.DEVIATIONS)
    names = {side: "target", owner: "owner"}
    return found.select(
        {name: names[name] for name in ("user", "item")} | {"deviation": "deviation"}
    )


def _widened(rows: Rows) -> Rows:
    return rows.map(prediction.widened, prediction.WANTING)


def _rule(config: NeighborRatingsConfig) -> Rule:
    return Rule(config.top_k, Damping(config.shrinkage, config.min_support), config.prior)


def _wanted(pairs: Source, side: Side, owner: Side, blocks: int) -> Rows:
    """PAIRS: a row for each block of targets that any pair has."""
    task = partial(scatter, num_blocks=blocks)
    pieces = pairs.map((side, owner), task, PIECES)
    return pieces.together(blocks).map(prediction.gather, prediction.PAIRS)
