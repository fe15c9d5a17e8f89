"""What the tests of Spark's layer share: partitions that really partition, and datasets written
by hand.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from emberline.datasets.manifest import Manifest, ProducedBy, commit, run_folder
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of

ShufflingInto = Callable[[int], AbstractContextManager[None]]
Publish = Callable[..., None]


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


@pytest.fixture(scope="session")
def publish() -> Publish:
    """`publish(root, stage, name, rows, rank=None, config=None, **info)` makes a dataset, as if
    a run of the stage had.
    """

    def publish_rows(
        root: Path,
        stage: str,
        name: str,
        rows: pa.Table | list[dict[str, Any]],
        rank: int | None = None,
        config: dict[str, Any] | None = None,
        **info: Any,
    ) -> None:
        run_id = "20250101T000000-00000000"
        schema = TABLES[name]
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, schema=schema)
        part = write_part([table], root / name / run_folder("0" * 64, run_id), "part-00000", schema)
        produced_by = ProducedBy(stage, "0" * 64, run_id, config or {})
        commit(
            root,
            Manifest(
                name,
                "table",
                fields_of(schema),
                table.num_rows,
                [part],
                produced_by,
                rank=rank,
                info=info,
            ),
        )

    return publish_rows
