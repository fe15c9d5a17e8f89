"""What these tests share: a small shop's whole pipeline and one of classes, each run once, and
what equal results are.
"""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets.schema import TABLES
from emberline.runs import runner
from emberline.sections.config import Config

# What a table is sorted by before it is compared.
KEYS = {
    "interactions": ["user", "item"],
    "ratings": ["user", "item"],
    "validation": ["user", "item"],
    "holdout": ["user", "item"],
    "users": ["user"],
    "items": ["item"],
    "rejected_ratings": ["source_file", "outcome", "reason", "raw"],
    "item_attributes": ["item"],
    "rejected_attributes": ["source_file", "outcome", "reason", "raw"],
    "images": ["item"],
    "rejected_images": ["source_file", "position"],
    "sounds": ["item"],
    "rejected_sounds": ["source_file", "position"],
    "noisy_item_counts": ["item"],
    "noisy_class_counts": ["label"],
    "shards_train": ["item"],
    "shards_val": ["item"],
    "shards_test": ["item"],
    "shards_all": ["item"],
    "predicted_factors": ["model", "item"],
    "content_factors": ["model", "item"],
    "content_landmarks": ["item"],
    "content_tokens": ["view", "bucket"],
    "baseline_factors": ["model", "item"],
    "predicted_classes": ["item"],
    "forest_classes": ["item"],
    "embeddings": ["item"],
    "user_factors": ["user"],
    "item_factors": ["item"],
    "blended_user_factors": ["user"],
    "blended_item_factors": ["item"],
    "refitted_user_factors": ["user"],
    "refitted_item_factors": ["item"],
    "user_rating_factors": ["user"],
    "neighbor_history": ["item", "neighbor"],
    "item_rating_factors": ["item"],
    "user_measures": ["report", "model", "metric", "user"],
    "item_measures": ["report", "model", "metric", "item"],
    "picture_reasons": ["user", "item"],
    "class_reasons": ["item"],
}
NUMBERS = {"factors", "embedding", "probability", "score", "plain_score", "heat"}
MEASURES = {"user_measures", "item_measures"}  # whose values are as exact as what they are made of
# The tables of lists: whose they are, what is in them, and the score that says where they are cut.
LISTS = {
    "item_neighbors": (["item"], "neighbor", "similarity"),
    "user_neighbors": (["user"], "neighbor", "similarity"),
    "refitted_item_neighbors": (["item"], "neighbor", "similarity"),
    "refitted_user_neighbors": (["user"], "neighbor", "similarity"),
    "steady_item_neighbors": (["item"], "neighbor", "similarity"),
    "holdout_recommendations": (["user", "model"], "item", "score"),
    "recommendations": (["user", "model"], "item", "score"),
    "reasons": (["user", "item", "kind", "attribute"], "past_item", "drop"),
}
AssertEqualResults = Callable[..., None]


@pytest.fixture(scope="session")
def pipeline() -> Path:
    return Path(__file__).with_name("small.toml")


@pytest.fixture(scope="session")
def config(pipeline: Path) -> Config:
    return pipelines.load(pipeline)


@pytest.fixture(scope="session")
def finished(spark: SparkSession, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which every stage has run. Tests that change something work on a `copy` of it."""
    root = tmp_path_factory.mktemp("finished")
    runner.run(config, root, stages.select(config))
    return root


@pytest.fixture(scope="session")
def classes(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The pipeline of classes, and a root in which all of its stages have run."""
    pipeline, root = Path(__file__).with_name("classes.toml"), tmp_path_factory.mktemp("classes")
    config = pipelines.load(pipeline)
    runner.run(config, root, stages.select(config))
    return pipeline, root


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "root"))


@pytest.fixture(scope="session")
def assert_equal_results() -> AssertEqualResults:
    """`assert_equal_results(root, expected, names, atol)`: those datasets, by default all that are
    expected, hold the same.

    Numbers are equal up to `atol`. A list may have another member where its score is within 10 *
    atol of the last one.
    """

    def assert_equal(
        root: Path, expected: Path, names: Iterable[str] | None = None, atol: float = 1e-4
    ) -> None:
        there = list(
            names
            if names is not None
            else [path.parent.name for path in expected.glob("*/manifest.json")]
        )
        tables = [name for name in there if name in {*KEYS, *LISTS}]
        assert tables or there == ["metrics"]  # which are facts alone
        for name in tables or there:
            if name in tables:
                assert_equal_tables(name, rows_of(root, name), rows_of(expected, name), atol)
            assert_equal_facts(
                manifests.load(root, name).manifest.info,
                manifests.load(expected, name).manifest.info,
                name,
            )

    return assert_equal


def assert_equal_tables(name: str, left: pa.Table, right: pa.Table, atol: float) -> None:
    assert left.num_rows == right.num_rows, name
    (assert_equal_lists if name in LISTS else assert_equal_rows)(left, right, name, atol)


def assert_equal_facts(left: Any, right: Any, where: str) -> None:
    """What manifests say beside the rows: the same, numbers up to rounding, and however long it
    took. A run over a finished root goes on after the indices that pictures have got there.
    """
    if isinstance(right, dict):
        assert left.keys() == right.keys(), where
        assert left.get("next_index", 0) >= right.get("next_index", 0), where
        for key in right.keys() - {"seconds", "next_index", "drawn"}:
            assert_equal_facts(left[key], right[key], f"{where}.{key}")
    elif isinstance(right, list):
        assert len(left) == len(right), where
        for at, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_equal_facts(one, other, f"{where}[{at}]")
    else:
        assert left == (pytest.approx(right, rel=1e-4) if isinstance(right, float) else right), (
            where
        )


def rows_of(root: Path, name: str) -> pa.Table:
    return pa.concat_tables(
        [TABLES[name].empty_table(), *map(pq.read_table, manifests.load(root, name).paths)]
    )


def assert_equal_rows(left: pa.Table, right: pa.Table, name: str, atol: float) -> None:
    left, right = (
        rows.sort_by([(key, "ascending") for key in KEYS[name]]) for rows in (left, right)
    )
    for column in left.column_names:
        if column in NUMBERS or (name in MEASURES and column in ("value", "weight")):
            assert left[column].is_valid().equals(right[column].is_valid()), f"{name}.{column}"
            np.testing.assert_allclose(
                numbers(left[column]),
                numbers(right[column]),
                rtol=0,
                atol=atol,
                err_msg=f"{name}.{column}",
            )
        else:
            assert left[column].equals(right[column]), f"{name}.{column}"


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    flat = column.combine_chunks()
    return np.asarray(
        (flat.flatten() if pa.types.is_list(flat.type) else flat).to_numpy(zero_copy_only=False)
    )


def assert_equal_lists(left: pa.Table, right: pa.Table, name: str, atol: float) -> None:
    ours, theirs = (lists(rows, *LISTS[name]) for rows in (left, right))
    for key in ours.keys() | theirs.keys():
        one, other = ours[key], theirs[key]
        for member in one.keys() & other.keys():
            assert abs(one[member] - other[member]) <= atol, f"{name}: {member} of {key}"
        for member in one.keys() ^ other.keys():
            scores = one if member in one else other
            assert scores[member] - min(scores.values()) <= 10 * atol, (
                f"{name}: {member} is in one list of {key} only"
            )


def lists(
    rows: pa.Table, owner: list[str], member: str, score: str
) -> dict[tuple[object, ...], dict[int, float]]:
    """Each owner's list, as its members' scores."""
    found: dict[tuple[object, ...], dict[int, float]] = defaultdict(dict)
    for row in rows.select([*owner, member, score]).to_pylist():
        found[tuple(row[name] for name in owner)][row[member]] = row[score] or 0.0
    return found
