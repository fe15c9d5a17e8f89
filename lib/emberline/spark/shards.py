"""The stage export-shards: pictures with what is to be learnt of them, split by item and ordered
once, as the trainer reads them.

Rows are ordered by (hash(seed, item_id), item_id): over all parts, and within them. An item's split
hangs on hashes of its outside id, so that it stays where it is when items arrive.
"""

from functools import reduce

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.cf.metrics import Sums
from emberline.cf.targets import TARGETS, sum_targets
from emberline.datasets.facts import (
    Channels,
    ClassCounts,
    Classes,
    GivenSplits,
    Pictures,
    RowGroups,
    Targets,
    Task,
)
from emberline.datasets.sharding import GROUP_BYTES, GROUP_ROWS
from emberline.errors import EmptyDatasetError
from emberline.numeric.arrays import Float64
from emberline.runs.stage_run import StageRun
from emberline.sections.shards import ShardsConfig
from emberline.spark import frames
from emberline.spark.hashes import hash_of, is_drawn

Names = tuple[str, ...]
SPLITS = ("train", "val", "test", "none")
SETS = {"all": SPLITS, **{split: (split,) for split in SPLITS[:3]}}


def run(run: StageRun[ShardsConfig], spark: SparkSession) -> None:
    """Join, split, order and write the four sets of shards."""
    config = run.settings
    images = run.inputs["images"].manifest
    pictures = images.facts(Pictures)
    group_rows = max(1, min(GROUP_ROWS, GROUP_BYTES // pictures.bytes))
    examples, classes = (
        _with_classes(run, spark, config)
        if config.task == "class"
        else (_with_factors(run, spark, config), None)
    )
    facts = (pictures, images.facts(Channels), Task(config.task), RowGroups(group_rows))
    whole = frames.checkpoint(
        examples.withColumn("_order", hash_of(config.seed, "order", "item_id")), run, "examples"
    )
    by_class = _by_class(whole)
    counts = {split: sum(n for (of, _), n in by_class.items() if of == split) for split in SPLITS}
    _check({split: count for split, count in counts.items() if count}, run, config)
    rank = run.inputs["item_factors"].manifest.rank if config.task == "factors" else None
    targets = target_sums(whole, rank) if rank else {}
    for name, splits in SETS.items():
        rows = whole if name == "all" else whole.where(F.col("split") == name)
        ordered = in_order(rows, _num_shards(config, sum(counts[split] for split in splits)))
        learnt = (
            (classes, _counted(splits, by_class, len(classes.classes)))
            if classes
            else (_targets(splits, targets, rank or 0),)
        )
        frames.write(
            ordered,
            run,
            f"shards_{name}",
            *facts,
            *learnt,
            rank=rank,
            seed=config.seed,
            group_rows=group_rows,
        )


def _counted(splits: Names, by_class: dict[tuple[str, int], int], classes: int) -> ClassCounts:
    """Of the rows of some splits."""
    return ClassCounts(
        [sum(by_class.get((of, label), 0) for of in splits) for label in range(classes)]
    )


def _targets(splits: Names, sums: dict[str, Sums], rank: int) -> Targets:
    """Of the rows of some splits."""
    every = reduce(Sums.merge, (sums[of] for of in splits if of in sums), Sums.empty(rank))
    return Targets(_listed(every.mean()), _listed(every.deviation()))


def _by_class(examples: DataFrame) -> dict[tuple[str, int], int]:
    """How many rows there are by split and label."""
    rows = examples.groupBy("split", "label").count().collect()
    return {(row["split"], row["label"]): row["count"] for row in rows}


def _num_shards(config: ShardsConfig, rows: int) -> int:
    return config.num_shards or max(1, round(rows / config.rows_per_shard))


def target_sums(examples: DataFrame, rank: int) -> dict[str, Sums]:
    """Of the factors, by split: count, sums and sums of squares of each component."""
    sums: dict[str, Sums] = {}
    known = examples.where("factors is not null").select("split", "factors")
    for row in known.mapInArrow(sum_targets, frames.spark_schema(TARGETS)).toLocalIterator():
        found = Sums(row["count"], np.array(row["total"]), np.array(row["squares"]))
        sums[row["split"]] = sums.get(row["split"], Sums.empty(rank)).merge(found)
    return sums


def _listed(values: Float64) -> list[float] | None:
    """As a manifest has it: None where nothing was counted."""
    return None if np.isnan(values).any() else values.tolist()


def in_order(rows: DataFrame, num_shards: int) -> DataFrame:
    """Rows by (_order, item_id), in partitions of about equal size: a hash is as often in one
    part of its range as in another.
    """
    shard = F.floor((F.col("_order") / 2.0**64 + 0.5) * num_shards).cast("int")
    # the last hashes round up to the end of the range
    within = F.least(F.greatest(shard, F.lit(0)), F.lit(num_shards - 1))
    return rows.repartitionById(num_shards, within).sortWithinPartitions("_order", "item_id")


def split_of(
    usable: Column, tested: Column, config: ShardsConfig, chosen: Column | None = None
) -> Column:
    """Each item's split: what is `tested` is for measuring, and of the other usable ones what is
    `chosen`, or else a share, by hash, for choosing a model."""
    drawn = is_drawn(config.val, config.seed, "val", "item_id") if chosen is None else chosen
    return (
        F.when(tested, "test")
        .when(usable, F.when(drawn, "val").otherwise("train"))
        .otherwise("none")
    )


def _with_classes(
    run: StageRun[ShardsConfig], spark: SparkSession, config: ShardsConfig
) -> tuple[DataFrame, Classes]:
    """Pictures with their label, the picture's own before the item's; labels are numbered in
    alphabetical order.
    """
    images = frames.read(spark, run.inputs["images"])
    if "item_attributes" in run.inputs:
        labels = frames.read(spark, run.inputs["item_attributes"]).select(
            "item", F.col("label").alias("_other")
        )
        images = (
            images.join(labels, "item", "left")
            .withColumn("label", F.coalesce("label", "_other"))
            .drop("_other")
        )
    classes = sorted(
        row[0] for row in images.select("label").where("label is not null").distinct().collect()
    )
    if len(classes) < 2:
        raise EmptyDatasetError(
            f"pictures have {len(classes)} different labels, and a network needs two; set"
            " images.labels, images.columns.label or the label column of [attributes.items]"
        )
    number = F.array_position(F.array(*map(F.lit, classes)), F.col("label")).cast("int") - 1
    is_labelled = F.col("label").isNotNull()
    is_test = F.coalesce(
        F.col("split") == "test", is_drawn(config.test, config.seed, "test", "item_id")
    )
    given = run.inputs["images"].manifest.facts(GivenSplits).splits
    is_val = F.col("split") == "val" if given.get("val") else None
    split = split_of(is_labelled, is_labelled & is_test, config, is_val)
    numbered = images.withColumns(
        {"split": split, "label": number, "factors": F.lit(None).cast("array<float>")}
    )
    return numbered, Classes(classes)


def _with_factors(
    run: StageRun[ShardsConfig], spark: SparkSession, config: ShardsConfig
) -> DataFrame:
    """Pictures with their item's factors; the items that split-ratings withheld whole are for
    measuring.
    """
    images = frames.read(spark, run.inputs["images"]).drop("split", "label")
    factors = frames.read(spark, run.inputs["item_factors"])
    cold = (
        frames.read(spark, run.inputs["holdout"])
        .where("cold")
        .select("item")
        .distinct()
        .withColumn("_cold", F.lit(True))
    )
    joined = images.join(factors, "item", "left").join(cold, "item", "left")
    split = split_of(F.col("factors").isNotNull(), F.col("_cold").isNotNull(), config)
    return joined.withColumns({"split": split, "label": F.lit(None).cast("int")})


def _check(counts: dict[str, int], run: StageRun[ShardsConfig], config: ShardsConfig) -> None:
    """Raises EmptyDatasetError where there is nothing to train on, or to choose a model by."""
    for split in ("train", "val"):
        if not counts.get(split):
            found = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            need = "a label" if config.task == "class" else "ALS factors under the same item ids"
            raise EmptyDatasetError(
                f"no picture is for {split} (found: {found}); pictures need {need}, or shards.val"
                " is too small"
            )
    run.outputs.measure(pictures=counts)
