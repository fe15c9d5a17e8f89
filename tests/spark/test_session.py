"""What Spark cannot do, as errors that say what to do."""

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession

from emberline.datasets.remote import RemotePath
from emberline.errors import ConfigError

Run = Callable[..., Any]


def test_a_storage_that_spark_has_no_jars_for_is_a_matter_of_set_up(spark: SparkSession, run: Run, s3_root: RemotePath) -> None:
    """pip's pyspark comes without them."""
    (s3_root / "log.csv").write_bytes(b"user,item,stars\nanna,i1,4\n")
    columns = '{ user_id = "user", item_id = "item", value = "stars" }'
    with pytest.raises(ConfigError, match=r"S3AFileSystem, by which it reads this storage; .*storage\.md"):
        run(f'[ratings]\npath = "{s3_root}"\ncolumns = {columns}\n')
