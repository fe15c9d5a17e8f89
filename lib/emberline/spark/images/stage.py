"""The stage prepare-images: pictures of any well-known kind as uint8 pixels of one size, under the
items' dense ids.

    read = kept + rejected

A picture that cannot be used is in `rejected_images` with its reason; none ends the stage.
"""

import logging
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

from emberline.datasets import parked
from emberline.datasets.facts import Accounts, Channels, GivenSplits, Indices, Pictures
from emberline.errors import DataError, EmptyDatasetError
from emberline.images import tasks
from emberline.logs import event
from emberline.raw import ids
from emberline.raw.ids import Numbered
from emberline.runs.stage_run import StageRun
from emberline.sections.images import ImagesConfig
from emberline.spark import frames
from emberline.spark.flow import SparkFlow, SparkRows, frame_of
from emberline.spark.frames import spark_schema
from emberline.spark.images.sources import source_of

log = logging.getLogger(__name__)
_PARKED = pa.schema(
    [field for field in tasks.DECODED if field.name != "pixels"] + list(parked.PLACE)
)
_PLACE = ("source_file", "position")  # in whose order the pixels are parked
_SMALL_PART, _LARGE_PART = 8 << 20, 256 << 20  # bytes of pixels


def run(run: StageRun[ImagesConfig], spark: SparkSession) -> None:
    """Decode the pictures and park their pixels; judge, number and count them by what is known
    of them; write them.
    """
    config = run.settings
    encoded, decode = source_of(spark, run.inputs.files(config.path), config)
    park = partial(
        parked.park, task=decode, column="pixels", folder=str(run.outputs.scratch / "pixels")
    )
    decoded = encoded.mapInArrow(park, spark_schema(_PARKED))
    judged = frames.checkpoint(decoded.transform(reject_repeated), run, "judged")
    counts = _counts(judged, config.channels)
    kept = judged.where("reason is null")
    numbered = number_items(run, SparkFlow(spark), kept)
    known_as = frame_of(numbered.rows).selectExpr("index as item", "id as item_id")
    size = Pictures(config.height, config.width, config.channels)
    parts = _parts(spark, sum(row["count"] for row in counts), config)
    pictures = (
        kept.join(known_as, "item_id")
        .repartitionByRange(parts, *_PLACE)
        .sortWithinPartitions(*_PLACE)
    )
    frames.write(pictures, run, "images", size, through=partial(parked.fetch, column="pixels"))
    frames.write(
        judged.where("reason is not null").drop(*parked.PLACE.names), run, "rejected_images"
    )
    run.outputs.finish("images", Indices(numbered.next_index))
    _account(run, counts)
    _tell_splits(run, kept)
    run.outputs.finish("images", channel_statistics(counts, config))


def number_items(run: StageRun[ImagesConfig], flow: SparkFlow, kept: DataFrame) -> Numbered:
    """The items' dense ids."""
    nothing = F.lit(None).cast("string")
    named = kept.select("item_id", nothing.alias("spelling"), nothing.alias("reason"))
    coded = ids.coded_ids(SparkRows(named), "item_id", "spelling")
    return ids.number(flow, coded, ids.known(run, "item"))


def reject_repeated(pictures: DataFrame) -> DataFrame:
    """Give all but the first picture of an item, in the order of file and position, the reason
    that it is another one.
    """
    place = Window.partitionBy("item_id", F.col("reason").isNull()).orderBy(
        "source_file", "position"
    )
    repeated = F.when(F.row_number().over(place) > 1, F.lit("another picture of the same item"))
    nameless = F.when(F.col("item_id").isNull(), F.lit("item_id is missing"))
    return pictures.withColumn("reason", F.coalesce("reason", nameless, repeated))


def _tell_splits(run: StageRun[ImagesConfig], kept: DataFrame) -> None:
    """Say which pictures are for training, validation and test, where the publisher does."""
    splits = {
        row["split"]: row["count"]
        for row in kept.where("split is not null").groupBy("split").count().collect()
    }
    if splits:
        counts = ", ".join(
            f"{splits[split]:,} {split}" for split in ("train", "val", "test") if split in splits
        )
        run.control.progress(
            f"the pictures come split, as their folders or files are called: {counts}"
            " (images.split)"
        )
        log.info(event("pictures_split", path=run.settings.path, **splits))
    run.outputs.finish("images", GivenSplits(splits))


def _parts(spark: SparkSession, pictures: int, config: ImagesConfig) -> int:
    """How many parts the pictures are written in: one per core where there is enough to write,
    and none too large.
    """
    size = pictures * config.height * config.width * config.channels
    return max(
        min(spark.sparkContext.defaultParallelism, -(-size // _SMALL_PART)),
        -(-size // _LARGE_PART),
        1,
    )


def _counts(judged: DataFrame, channels: int) -> list[Row]:
    """Per reason, null for what is kept: `count`, and of each channel the sums over all pixels,
    exactly; frequent ones first.
    """
    sums = [
        F.sum(F.col(name)[channel].cast("decimal(20,0)"))
        for name in ("totals", "squares")
        for channel in range(channels)
    ]
    by_reason = judged.groupBy("reason").agg(
        F.count("*").alias("count"), F.array(*sums).alias("sums")
    )
    return sorted(by_reason.collect(), key=lambda row: (-row["count"], row["reason"] or ""))


def channel_statistics(counts: list[Row], config: ImagesConfig) -> Channels:
    """The mean and deviation of each channel over all pixels of all pictures, as shares of full
    brightness, 0..1.
    """
    (kept,) = [row for row in counts if row["reason"] is None]
    pixels = kept["count"] * config.height * config.width
    levels, squares = (
        np.array(part, np.float64) / pixels for part in np.array_split(kept["sums"], 2)
    )
    return Channels(
        mean=(levels / 255).tolist(),
        std=(np.sqrt(np.maximum(squares - levels**2, 0)) / 255).tolist(),
    )


def _account(run: StageRun[ImagesConfig], counts: list[Row]) -> None:
    """Raises DataError where a picture is missing or twice there, EmptyDatasetError where none
    is left.
    """
    reasons = {row["reason"]: row["count"] for row in counts if row["reason"] is not None}
    read, kept, rejected = (
        sum(row["count"] for row in counts),
        run.outputs.rows("images"),
        run.outputs.rows("rejected_images"),
    )
    accounts = {"read": read, "kept": kept, "rejected": rejected}
    if read != kept + rejected:
        raise DataError(
            f"the pictures do not add up: {accounts}; were the files changed while they were read?"
            " Run it again"
        )
    if kept == 0:
        top = "; ".join(f"{count} {reason}" for reason, count in list(reasons.items())[:3])
        raise EmptyDatasetError(f"{run.settings.path}: of {read} pictures none can be used ({top})")
    run.outputs.finish("images", Accounts(accounts, reasons))
