"""Rows read from several parts and row groups."""

from pathlib import Path

import pyarrow as pa
import pytest

from emberline.datasets.manifest import Dataset, Manifest, ProducedBy
from emberline.datasets.parts import write_part
from emberline.datasets.rows import batches, rows_where
from emberline.datasets.schema import RATINGS, fields_of
from emberline.errors import DataError
from emberline.report import ratings


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Ratings (user, item, value) in two parts with row groups of two."""
    written = [[(0, 0, 1.0), (0, 4, 2.0), (1, 0, 1.0)], [(2, 1, 2.0), (0, 1, 5.0)]]
    parts = []
    for place, rows in enumerate(written):
        table = pa.Table.from_pylist(
            [{"user": u, "item": i, "value": v} for u, i, v in rows], schema=RATINGS
        )
        parts.append(
            write_part([table], tmp_path / "run", f"part-{place:05d}", RATINGS, group_rows=2)
        )
    return Dataset(
        tmp_path,
        Manifest("ratings", "table", fields_of(RATINGS), 5, parts, ProducedBy("s", "f", "r")),
    )


def test_only_rows_with_a_wanted_value_are_found(dataset: Dataset) -> None:
    assert rows_where(dataset, "user", {0}, ["item"]).to_pylist() == [
        {"user": 0, "item": i} for i in (0, 4, 1)
    ]
    assert rows_where(dataset, "item", {1}, ["user"]).to_pylist() == [
        {"item": 1, "user": 2},
        {"item": 1, "user": 0},
    ]


def test_where_nothing_is_wanted_or_found_there_are_no_rows(dataset: Dataset) -> None:
    assert (
        rows_where(dataset, "user", [], ["item"]).to_pylist()
        == rows_where(dataset, "user", [9], ["item"]).to_pylist()
        == []
    )


def test_all_rows_come_in_order(dataset: Dataset) -> None:
    assert [item for batch in batches(dataset, ["item"]) for item in batch["item"].to_pylist()] == [
        0,
        4,
        0,
        1,
        1,
    ]


def test_ratings_are_counted_over_all_batches_also_of_items_that_a_later_one_lacks(
    dataset: Dataset,
) -> None:
    by_value, by_item = ratings._count(dataset)
    assert by_value == {1.0: 2, 2.0: 2, 5.0: 1} and by_item.tolist() == [2, 2, 0, 0, 1]


def test_a_damaged_part_is_named(dataset: Dataset) -> None:
    dataset.paths[1].write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match=r"part-00001-.*cannot be read.*rerun s with --force"):
        rows_where(dataset, "user", {0}, ["item"])
