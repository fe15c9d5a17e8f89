"""Which items may be recommended, by the lists of outside ids that the pipeline names."""

import logging
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.errors import EmptyDatasetError
from emberline.flow.rows import Flow
from emberline.logs import event
from emberline.numeric.arrays import Int32
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import ItemListConfig, RecommendConfig
from emberline.spark import ids, rejects
from emberline.spark.attribute_rows import read_attributes
from emberline.spark.flow import session_of

log = logging.getLogger(__name__)


def allowed(run: StageRun[Any], flow: Flow) -> Int32:
    """The candidates, or else all items, without the excluded ones: (n,), ascending.

    Ids that no item has are counted in the log and the stage's metrics. Raises EmptyDatasetError
    where no item is left.
    """
    config: RecommendConfig = run.settings
    spark = session_of(flow)
    items = ids.known(run, spark, "item").ids
    assert items is not None  # the stage reads them
    found = items
    if config.candidates:
        found = found.join(
            _listed(run, spark, "candidates", config.candidates, items), "item", "left_semi"
        )
    if config.exclude:
        found = found.join(
            _listed(run, spark, "exclude", config.exclude, items), "item", "left_anti"
        )
    left: Int32 = np.sort(found.select("item").toArrow()["item"].to_numpy())
    if not len(left):
        raise EmptyDatasetError(
            f"no item may be recommended: {_places(config)} leave none of the"
            f" {run.inputs['items'].rows:,} items; compare their ids with those that emberline show"
            " prints of the dataset items"
        )
    return left


def _listed(
    run: StageRun[Any], spark: SparkSession, setting: str, config: ItemListConfig, items: DataFrame
) -> DataFrame:
    """Column item: what the files of one setting list. items: columns item and item_id.

    Raises DataError where a row cannot be read: it may name an item that must not be recommended.
    """
    rows = read_attributes(
        spark, run.inputs.files(config.path), config, {"id": config.item_id}, config.rules()
    )
    rows = rows.select("source_file", "raw", "reason", F.col("id").alias("item_id")).persist()
    rejects.check_readable(rows, f"recommend.{setting}", config.path)
    listed = rows.select("item_id").distinct().join(items, "item_id", "left").persist()
    ids_, known = listed.agg(F.count("item_id"), F.count("item")).first() or (0, 0)
    counts = {"ids": ids_, "unknown": ids_ - known}
    log.info(event("items_listed", setting=f"recommend.{setting}", path=config.path, **counts))
    run.outputs.measure(**{setting: counts})
    return listed.where("item is not null").select("item")


def _places(config: RecommendConfig) -> str:
    named = {"candidates": config.candidates, "exclude": config.exclude}
    return " and ".join(
        f"recommend.{setting} ({items.path})" for setting, items in named.items() if items
    )
