"""Each row's most similar rows: blocks of rows multiplied with blocks of columns."""

from functools import partial

from emberline.cf.cosine import search as cf_search
from emberline.cf.cosine.similarity import Damping
from emberline.flow.rows import Flow, Rows, Source
from emberline.neighbors.packing import Grid, columns_of, pack
from emberline.sections.cosine import CosineConfig


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
        task = partial(cf_search.match_and_merge, search=search)
        best = pairs.map(task, cf_search.NEIGHBORS)
    else:
        candidates = pairs.map(partial(cf_search.match, search=search), cf_search.CANDIDATES)
        merge = partial(cf_search.merge, top_k=config.top_k)
        best = candidates.together(grid.rows).map(merge, cf_search.NEIGHBORS)
    return best.select({side: "row", "neighbor": "neighbor", "similarity": "similarity"})
