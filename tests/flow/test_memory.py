"""What stages take here, beside what their rows of the table say before they start."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import csv

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets.listing import RawFile
from emberline.datasets.schema import TABLES
from emberline.sections.stage import Sizes

PIPELINE = """
[ratings]
path = "unread.csv"
value = "one"
columns = { user_id = "user", item_id = "item" }
[split]
by = "fraction"
fraction = 0.1
[als]
iterations = 2
[cosine]
sides = ["items"]
[recommend]
refit = false
[evaluate]
[spark]
master = "local[2]"
engine = "here"
"""
PICTURES = """
[images]
path = "pictures.parquet"
columns = { item_id = "id", image = "image", label = "label" }
[shards]
task = "class"
[spark]
master = "local[2]"
engine = "here"
"""
STAGES = (
    "split-ratings",
    "train-als",
    "train-cosine",
    "recommend-holdout",
    "recommend",
    "evaluate",
)
# what a process is said to have taken at most is at least what the process had that it was forked
# from: so from a small one
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
SPLIT = TABLES["interactions"].field("split")
IMPORTED = 260 << 20  # bytes of Python, NumPy, Arrow and the command itself


@pytest.fixture(scope="module")
def prepared(
    request: pytest.FixtureRequest, publish: object, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """So many ratings, each item's as many as its rank lets expect."""
    count: int = request.param
    folder = tmp_path_factory.mktemp("memory")
    (folder / "pipeline.toml").write_text(PIPELINE)
    rng, num_users, num_items = np.random.default_rng(1), count // 100, 5000
    items = np.minimum(rng.zipf(1.3, 2 * count) - 1, num_items - 1)
    users = rng.integers(0, num_users, 2 * count)
    keys = rng.permutation(np.unique(users << 32 | items))[:count]
    user, item = (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)
    ones = np.ones(len(keys), np.float32)
    moments = pa.nulls(len(keys), TABLES["ratings"].field("timestamp").type)
    table = pa.table([user, item, ones, moments], schema=TABLES["ratings"])
    root = folder / "root"
    whole = table.append_column(SPLIT, pa.nulls(len(keys), pa.string()))
    publish(root, "prepare-ratings", "interactions", whole)  # type: ignore[operator]
    for side, size in (("user", num_users), ("item", num_items)):
        rows = [{side: index, f"{side}_id": str(index)} for index in range(size)]
        publish(root, "prepare-ratings", f"{side}s", rows)  # type: ignore[operator]
    return folder


@pytest.mark.faults
@pytest.mark.parametrize("prepared", [1_000_000, 4_000_000], indirect=True)
def test_stages_take_no_more_memory_than_they_say(prepared: Path) -> None:
    config, root = pipelines.load(prepared / "pipeline.toml"), prepared / "root"
    for name in STAGES:
        (stage,) = stages.select(config, name)
        said = stage.memory(config, Sizes(lambda table: manifests.load(root, table).rows), 2)
        taken = _taken(prepared, "--root", str(root), "--only", name)
        assert taken - IMPORTED <= said <= 3 * taken, (
            f"{name}: {taken >> 20} MiB, said {said >> 20}"
        )


@pytest.mark.faults
@pytest.mark.parametrize("prepared", [1_000_000, 4_000_000], indirect=True)
def test_preparing_a_log_takes_no_more_memory_than_is_said(prepared: Path, tmp_path: Path) -> None:
    (part,) = manifests.load(prepared / "root", "interactions").paths
    csv.write_csv(pq.read_table(part, columns=["user", "item", "value"]), prepared / "log.csv")
    file = prepared / "log.csv"
    config = pipelines.load(prepared / "pipeline.toml", [f"ratings.path={file}"])
    (stage,) = stages.select(config, "prepare-ratings")
    said = stage.memory(config, Sizes(lambda table: 0, file.stat().st_size), 2)
    told = ("--set", f"ratings.path={file}", "--root", str(tmp_path), "--only", stage.name)
    taken = _taken(prepared, *told)
    assert taken - IMPORTED <= said <= 3 * taken, f"{taken >> 20} MiB, said {said >> 20}"


@pytest.mark.faults
def test_pictures_take_no_more_memory_than_is_said(tmp_path: Path) -> None:
    rng, file, encoded = np.random.default_rng(1), io.BytesIO(), []
    for _ in range(60_000):
        file.seek(0)
        file.truncate()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(file, "PNG")
        encoded.append(file.getvalue())
    labels = [f"{number % 7}" for number in range(len(encoded))]
    pictures = pa.table({"id": range(len(encoded)), "image": encoded, "label": labels})
    pq.write_table(pictures, tmp_path / "pictures.parquet")
    (tmp_path / "pipeline.toml").write_text(PICTURES)
    config, root = pipelines.load(tmp_path / "pipeline.toml"), tmp_path / "root"
    file_size = (tmp_path / "pictures.parquet").stat().st_size
    raw = [RawFile("pictures.parquet", "pictures.parquet", file_size, 0)]
    for name in ("prepare-images", "export-shards"):
        (stage,) = stages.select(config, name)
        said = stage.memory(config, Sizes(lambda table: len(encoded), raw=raw), 2)
        taken = _taken(tmp_path, "--root", str(root), "--only", name)
        assert taken - IMPORTED <= said <= 3 * taken, f"{taken >> 20} MiB, said {said >> 20}"


def _taken(folder: Path, *options: str) -> int:
    """Bytes that a run takes at most."""
    command = [str(Path(sys.executable).with_name("emberline")), "run", "pipeline.toml", *options]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1]) << 10
