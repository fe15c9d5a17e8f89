"""What the tests of Spark's layer share: partitions that really partition."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from pyspark.sql import SparkSession

ShufflingInto = Callable[[int], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def shuffling_into(spark: SparkSession) -> ShufflingInto:
    """`with shuffling_into(n)`: shuffles make exactly n partitions and joins broadcast nothing,
    however small they are.
    """

    @contextmanager
    def changed(partitions: int) -> Iterator[None]:
        settings = {
            "spark.sql.shuffle.partitions": str(partitions),
            "spark.sql.adaptive.coalescePartitions.enabled": "false",
            "spark.sql.autoBroadcastJoinThreshold": "-1",
        }
        before = {key: str(spark.conf.get(key)) for key in settings}
        for key, value in settings.items():
            spark.conf.set(key, value)
        try:
            yield
        finally:
            for key, value in before.items():
                spark.conf.set(key, value)

    return changed
