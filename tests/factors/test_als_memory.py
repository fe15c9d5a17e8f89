"""A fit whose factors fit neither the driver nor a worker, under limits that the system holds."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

NUM_USERS, RANK = 1_500_000, 128  # 768 MB of users' factors
# the latter of two workers together; half of it is what Python, NumPy and Arrow map themselves
HEAP, WORKERS = "640m", "1800m"

FIT = """
import resource, sys
from pathlib import Path
from emberline.sections.als import AlsConfig
from emberline.sections.spark import SparkConfig
from emberline.factors.fit import fit
from emberline.spark import session
from emberline.spark.flow import SparkFlow, SparkSource
from emberline.spark.scan import Scan

folder, exchange = Path(sys.argv[1]), sys.argv[2]
conf = {"spark.executor.pyspark.memory": sys.argv[4], "spark.executor.cores": "2"}
conf["spark.sql.codegen.wholeStage"] = "false"
settings = SparkConfig(
    master="local[2]", driver_memory=sys.argv[3], shuffle_partitions=4, conf=conf
)
spark = session.start(settings)
config = AlsConfig(rank=int(sys.argv[5]), iterations=1, cg_steps=1, exchange=exchange)
ratings = SparkSource(Scan(spark.read.parquet(str(folder / "ratings"))))
model = fit(SparkFlow(spark), ratings, config, True, folder / "work", folder / "scratch")
model.factors("user").frame.write.parquet(str(folder / "users"))
model.factors("item").frame.write.parquet(str(folder / "items"))
print("loss", model.history[0]["loss"], model.final["loss"], model.exchange.__class__.__name__)
"""


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ratings of each user, among 3,000 items."""
    folder = tmp_path_factory.mktemp("memory")
    (folder / "ratings").mkdir()
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(NUM_USERS, dtype=np.int32), 2)
    item = rng.integers(0, 1500, len(user), dtype=np.int32) * 2 + np.tile(
        np.array([0, 1], np.int32), NUM_USERS
    )
    table = pa.table({"user": user, "item": item, "value": np.ones(len(user), np.float32)})
    pq.write_table(table, folder / "ratings" / "part.parquet", row_group_size=200_000)
    return folder


def run_fit(folder: Path, exchange: str) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(FIT),
        str(folder),
        exchange,
        HEAP,
        WORKERS,
        str(RANK),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=1500)


@pytest.mark.faults
def test_without_broadcasts_a_fit_needs_memory_for_neither_sides_factors(ratings: Path) -> None:
    done = run_fit(ratings, "auto")
    assert done.returncode == 0, done.stderr[-3000:]
    _, first, last, exchange = done.stdout.split()[-4:]
    assert exchange == "Routing"
    assert 0 < float(last) <= float(first)
    users = pq.read_table(ratings / "users", columns=["user"])
    assert users.num_rows == NUM_USERS
    items = pq.read_table(ratings / "items")
    assert items.num_rows == 3000
    assert np.isfinite(items["factors"].combine_chunks().flatten().to_numpy()).all()


@pytest.mark.faults
def test_the_same_limits_are_too_small_for_broadcasts(ratings: Path, tmp_path: Path) -> None:
    """What the test above shows would be nothing otherwise."""
    (tmp_path / "ratings").symlink_to(ratings / "ratings")
    done = run_fit(tmp_path, "broadcast")
    assert done.returncode != 0
    assert any(
        word in done.stderr
        for word in ("OutOfMemoryError", "MemoryError", "maxResultSize", "Cannot allocate memory")
    )
