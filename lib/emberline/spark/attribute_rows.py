"""Raw rows of attributes, read and cleaned by the workers."""

from collections.abc import Collection
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from emberline.cleaning import attributes
from emberline.cleaning.attributes import AttributeRules
from emberline.datasets.listing import RawFile
from emberline.records.heads import Wanted
from emberline.sections.raw import RawConfig
from emberline.spark.raw import Cleaning, read_raw


def read_attributes(
    spark: SparkSession,
    files: list[RawFile],
    source: RawConfig,
    wanted: Wanted,
    rules: AttributeRules,
    lists: Collection[str] = (),
) -> DataFrame:
    """Columns source_file, raw, reason and those of attributes; see `read_raw`."""
    cleaning = Cleaning(partial(attributes.clean_all, rules=rules), attributes.SCHEMA)
    return read_raw(spark, files, source, wanted, lists, cleaning)
