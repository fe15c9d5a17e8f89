"""The stage export-shards: pictures with what is to be learnt of them, split by item and ordered once, as the trainer reads them.

Rows are ordered by (hash(seed, item_id), item_id): over all parts, and within them. An item's split hangs on hashes of its
outside id, so that it stays where it is when items arrive.
"""

from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.config import ShardsConfig
from emberline.datasets.sharding import GROUP_BYTES, GROUP_ROWS
from emberline.errors import EmptyDatasetError
from emberline.runner import StageRun
from emberline.spark import frames

_BUCKETS = 1_000_000
SPLITS = ("train", "val", "test", "none")


def run(run: StageRun, spark: SparkSession) -> None:
    """Join, split, order and write the four sets of shards."""
    config: ShardsConfig = run.settings
    images = run.inputs["images"].manifest.info
    picture_bytes = images["height"] * images["width"] * images["channels"]
    group_rows = max(1, min(GROUP_ROWS, GROUP_BYTES // picture_bytes))
    examples, facts = _with_classes(run, spark, config) if config.task == "class" else _with_factors(run, spark, config)
    facts |= {name: images[name] for name in ("height", "width", "channels", "mean", "std")} | {"task": config.task}
    whole = frames.checkpoint(examples.withColumn("_order", _hash(config.seed, "order")), run, "examples")
    counts = {row[0]: row[1] for row in whole.groupBy("split").count().collect()}
    _check(counts, run, config)
    rank = run.inputs["item_factors"].manifest.rank if config.task == "factors" else None
    for name in ("all", *SPLITS[:3]):
        rows = whole if name == "all" else whole.where(F.col("split") == name)
        count = sum(counts.values()) if name == "all" else counts.get(name, 0)
        ordered = in_order(rows, max(1, round(count / config.rows_per_shard)))
        frames.write(
            ordered, run, f"shards_{name}", rank=rank, seed=config.seed, group_rows=group_rows, row_group_rows=group_rows, **facts
        )


def in_order(rows: DataFrame, num_shards: int) -> DataFrame:
    """Rows by (_order, item_id), in partitions of about equal size: a hash is as often in one part of its range as in another."""
    shard = F.floor((F.col("_order") / 2.0**64 + 0.5) * num_shards).cast("int")
    within = F.least(F.greatest(shard, F.lit(0)), F.lit(num_shards - 1))  # the last hashes round up to the end of the range
    return rows.repartitionById(num_shards, within).sortWithinPartitions("_order", "item_id")


def split_of(usable: Column, tested: Column, config: ShardsConfig) -> Column:
    """Each item's split: what is `tested` is for measuring, and of the other usable ones a share, by hash, for choosing."""
    chosen = F.when(_is_drawn("val", config.val, config.seed), "val").otherwise("train")
    return F.when(tested, "test").when(usable, chosen).otherwise("none")


def _is_drawn(purpose: str, share: float, seed: int) -> Column:
    return F.pmod(_hash(seed, purpose), F.lit(_BUCKETS)) < round(share * _BUCKETS)


def _hash(seed: int, purpose: str) -> Column:
    return F.xxhash64(F.lit(seed), F.lit(purpose), "item_id")


def _with_classes(run: StageRun, spark: SparkSession, config: ShardsConfig) -> tuple[DataFrame, dict[str, Any]]:
    """Pictures with their label, the picture's own before the item's; labels are numbered in alphabetical order."""
    images = frames.read(spark, run.inputs["images"])
    if "item_attributes" in run.inputs:
        labels = frames.read(spark, run.inputs["item_attributes"]).select("item", F.col("label").alias("_other"))
        images = images.join(labels, "item", "left").withColumn("label", F.coalesce("label", "_other")).drop("_other")
    classes = sorted(row[0] for row in images.select("label").where("label is not null").distinct().collect())
    if len(classes) < 2:
        raise EmptyDatasetError(
            f"pictures have {len(classes)} different labels, and a network needs two; set images.labels, images.columns.label or "
            "the label column of [attributes.items]"
        )
    number = F.array_position(F.array(*map(F.lit, classes)), F.col("label")).cast("int") - 1
    is_labelled = F.col("label").isNotNull()
    is_test = F.coalesce(F.col("split") == "test", _is_drawn("test", config.test, config.seed))
    split = split_of(is_labelled, is_labelled & is_test, config)
    numbered = images.withColumns({"split": split, "label": number, "factors": F.lit(None).cast("array<float>")})
    return numbered, {"classes": classes}


def _with_factors(run: StageRun, spark: SparkSession, config: ShardsConfig) -> tuple[DataFrame, dict[str, Any]]:
    """Pictures with their item's factors; the items that prepare-ratings withheld whole are for measuring."""
    images = frames.read(spark, run.inputs["images"]).drop("split", "label")
    factors = frames.read(spark, run.inputs["item_factors"])
    cold = frames.read(spark, run.inputs["holdout"]).where("cold").select("item").distinct().withColumn("_cold", F.lit(True))
    joined = images.join(factors, "item", "left").join(cold, "item", "left")
    split = split_of(F.col("factors").isNotNull(), F.col("_cold").isNotNull(), config)
    return joined.withColumns({"split": split, "label": F.lit(None).cast("int")}), {}


def _check(counts: dict[str, int], run: StageRun, config: ShardsConfig) -> None:
    """Raises EmptyDatasetError where there is nothing to train on, or to choose a model by."""
    for split in ("train", "val"):
        if not counts.get(split):
            found = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            need = "a label" if config.task == "class" else "ALS factors under the same item ids"
            raise EmptyDatasetError(
                f"no picture is for {split} (found: {found}); pictures need {need}, or shards.val is too small"
            )
    run.metrics["pictures"] = counts
