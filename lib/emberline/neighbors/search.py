"""Each row's most similar rows: blocks of rows multiplied with blocks of columns."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from emberline.cf.cosine import search as cf_search
from emberline.cf.cosine.similarity import Damping
from emberline.datasets.kept_back import TooFewUsers
from emberline.flow.rows import Flow, Rows, Source
from emberline.neighbors.packing import Grid, columns_of, pack
from emberline.sections.cosine import CosineConfig

_RATINGS_OF_SAMPLE = 200_000  # about so many ratings are of rows whose lists are compared


def neighbors(
    flow: Flow,
    ratings: Source,
    side: str,
    other: str,
    config: CosineConfig,
    grid: Grid | None = None,
    one_in: int = 1,
) -> Rows:
    """Columns `side`, neighbor and similarity: up to `top_k` with positive similarity each, none of
    them itself.

    With `one_in` above 1, of about that share of the rows.
    """
    grid = grid or Grid.of(ratings.count(), flow.cores)
    rows = pack(ratings, side, other, config, grid.rows).kept()
    pairs = rows.beside(columns_of(rows, grid.columns))
    damping = Damping(config.shrinkage, config.min_support)
    search = cf_search.Search(config.top_k, damping, one_in, config.seed, flow.threads)
    if grid.columns == 1:
        task = partial(cf_search.match_all, search=search)
        best = pairs.map(task, cf_search.NEIGHBORS)
    else:
        candidates = pairs.map(partial(cf_search.match, search=search), cf_search.CANDIDATES)
        merge = partial(cf_search.merge, top_k=config.top_k)
        best = candidates.together(grid.rows).map(merge, cf_search.NEIGHBORS)
    return best.select({side: "row", "neighbor": "neighbor", "similarity": "similarity"})


def too_few(
    flow: Flow,
    ratings: Source,
    side: str,
    other: str,
    config: CosineConfig,
    shown: CosineConfig,
) -> Iterator[TooFewUsers]:
    """What is left out of the lists that the settings make since it is not to be shown; found in
    the lists of some rows, which are all where there are few.
    """
    if shown.min_support == config.min_support:
        return
    one_in = max(1, ratings.count() // _RATINGS_OF_SAMPLE)
    lists = [
        neighbors(flow, ratings, side, other, each, one_in=one_in).table()
        for each in (config, shown)
    ]
    every, kept = (
        cf_search.keys(*(table[name].to_numpy() for name in (side, "neighbor"))) for table in lists
    )
    rows = len(np.unique(lists[0][side].to_numpy()))
    left_out = int(np.isin(every, kept, invert=True).sum())
    yield TooFewUsers(shown.min_support, len(every), left_out, rows)
