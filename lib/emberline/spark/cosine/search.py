"""Each row's most similar rows: blocks of rows multiplied with blocks of columns."""

from functools import partial

from pyspark.sql import DataFrame

from emberline.cf.cosine import search as cf_search
from emberline.cf.cosine.similarity import Damping
from emberline.sections.cosine import CosineConfig
from emberline.spark.cosine.packing import Grid, columns_of, pack
from emberline.spark.frames import spark_schema
from emberline.spark.scan import Scan


def neighbors(
    ratings: Scan,
    side: str,
    other: str,
    config: CosineConfig,
    grid: Grid | None = None,
    one_in: int = 1,
) -> DataFrame:
    """Columns `side`, neighbor and similarity: up to `top_k` with positive similarity each, none of
    them itself.

    With `one_in` above 1, of about that share of the rows.
    """
    grid = grid or Grid.of(ratings)
    rows = pack(ratings, side, other, config, grid.rows).persist()
    right = columns_of(rows, grid.columns)
    # else Spark may send all blocks to one task
    pairs = rows.crossJoin(right.hint("shuffle_replicate_nl"))
    search = cf_search.Search(
        config.top_k, Damping(config.shrinkage, config.min_support), one_in, config.seed
    )
    if grid.columns == 1:
        best = pairs.mapInArrow(
            partial(cf_search.match_and_merge, search=search), spark_schema(cf_search.NEIGHBORS)
        )
    else:
        candidates = pairs.mapInArrow(
            partial(cf_search.match, search=search), spark_schema(cf_search.CANDIDATES)
        )
        together = candidates.repartitionById(grid.rows, "block")
        best = together.mapInArrow(
            partial(cf_search.merge, top_k=config.top_k), spark_schema(cf_search.NEIGHBORS)
        )
    return best.withColumnRenamed("row", side)
