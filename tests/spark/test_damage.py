"""Tables in which a bit has flipped: Spark says in which part, whatever the cluster's settings."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.errors import DataError, ManifestError
from emberline.runs.inputs import Inputs
from emberline.runs.roots import Roots
from emberline.runs.stage_run import StageRun, begin
from emberline.sections.config import Config
from emberline.spark import frames, session
from emberline.spark.session import SparkEngine
from emberline.stages import STAGES

Publish = Callable[..., None]
Run = Callable[..., Any]


@pytest.fixture
def recommendations(publish: Publish, root: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """2,000 rows, not compared as a whole."""
    rng = np.random.default_rng(3)
    columns = [rng.integers(0, 500, 2000, dtype=np.int32) for _ in range(3)]
    columns += [rng.random(2000, dtype=np.float32), rng.choice(["als", "popular"], 2000)]
    schema = pa.schema(
        [
            frames.TABLES["recommendations"].field(name)
            for name in ("user", "rank", "item", "score", "model")
        ]
    )
    publish(root, "recommend", "recommendations", pa.table(columns, schema=schema))
    monkeypatch.setattr("emberline.datasets.footers._SMALL", 0)
    return manifests.load(root, "recommendations")


def reading(run: StageRun[Any], spark: SparkSession) -> None:
    """A stage that reads its input."""
    frames.read(spark, run.inputs["recommendations"]).toArrow()


@pytest.fixture
def read(
    spark: SparkSession, root: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Dataset], None]:
    """Read a dataset as a stage of the pipeline does."""
    monkeypatch.setattr(session, "resolve", lambda target: reading)

    def read_dataset(dataset: Dataset) -> None:
        with SparkEngine(Config()) as engine:
            config = Config.model_validate({"report": {}})
            engine.call(begin(config, STAGES[-1], Roots(root), Inputs({dataset.name: dataset})))

    return read_dataset


def page_ends(path: Path) -> list[int]:
    """The last byte of each column's pages."""
    group = pq.read_metadata(path).row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    begins = [
        min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)))
        for chunk in chunks
    ]
    return [
        begin + chunk.total_compressed_size - 1 for begin, chunk in zip(begins, chunks, strict=True)
    ]


def flips(path: Path) -> Iterator[int]:
    """A place of each column's pages, of the footer and of both magic numbers, flipped while it
    is yielded.
    """
    content = path.read_bytes()
    for place in [*page_ends(path), 0, len(content) - 100, len(content) - 6, len(content) - 1]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        yield place
    path.write_bytes(content)


def test_a_flipped_bit_in_any_region_names_the_part_and_the_stage(
    recommendations: Dataset, read: Callable[..., None]
) -> None:
    (path,) = recommendations.paths
    for place in flips(path):
        with pytest.raises(
            DataError,
            match=rf"^\S*/{path.name} cannot be read \(.+\); rerun recommend with --force$",
        ):
            pytest.fail(f"the bit at {place} passed: {read(recommendations)}")


def test_a_session_of_somebody_else_checks_pages_too(
    spark: SparkSession, recommendations: Dataset, read: Callable[..., None]
) -> None:
    """SparkEngine finds one running, with settings of a cluster that take damage for nothing."""
    other = {
        "parquet.page.verify-checksum.enabled": "false",
        "spark.sql.files.ignoreCorruptFiles": "true",
    }
    (path,) = recommendations.paths
    place = page_ends(path)[0]
    content = path.read_bytes()
    path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    before = {key: spark.conf.get(key) for key in other}
    for key, value in other.items():
        spark.conf.set(key, value)
    try:
        with pytest.raises(DataError, match="its pages were altered"):
            read(recommendations)
    finally:
        for key, value in before.items():
            spark.conf.set(key, str(value))


@pytest.mark.parametrize("setting", session._REQUIRED)
def test_the_settings_that_results_depend_on_hold_in_a_session(
    spark: SparkSession, setting: str
) -> None:
    assert spark.conf.get(setting) == str(session._REQUIRED[setting])


def test_a_part_that_vanishes_while_a_stage_runs_is_missed(
    recommendations: Dataset, spark: SparkSession
) -> None:
    frame = frames.read(spark, recommendations)
    recommendations.paths[0].unlink()
    with pytest.raises(Exception, match=r"FAILED_READ_FILE|does not exist"):
        frame.toArrow()


def test_an_id_map_that_was_altered_is_not_made_anew_in_silence(
    run: Run, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "log.csv").write_text(
        "user,item\n" + "".join(f"u{i % 40},i{i % 7}\n" for i in range(200))
    )
    toml = (
        f'[ratings]\npath = "{tmp_path}/log.csv"\ncolumns = {{ user_id = "user", item_id = "item"'
        ' }\nvalue = "one"\n'
    )
    run(toml)
    path, *_ = manifests.load(root, "users").paths
    content = path.read_bytes()
    path.write_bytes(content[:-90] + bytes([content[-90] ^ 4]) + content[-89:])
    with pytest.raises(
        ManifestError,
        match=rf"continues users, which is damaged \(.*{path.name}.*Restore .*/users from a backup",
    ):
        run(toml, force=True)
