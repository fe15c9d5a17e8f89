"""A user's list read from small tables that are written here."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from emberline.datasets import manifest as manifests
from emberline.datasets import rows
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.errors import DataError, ManifestError
from emberline.serving import lookup
from emberline.serving.lookup import Recommendation

RUN_ID = "20250101T000000-00000000"
FINGERPRINT = "0" * 16
Rows = Sequence[tuple[object, ...]]


def _publish(
    root: Path, name: str, *parts_rows: Rows, stage: str = "prepare-ratings", run_id: str = RUN_ID
) -> None:
    """Commit a table, one list of rows per part and one row group per part."""
    schema = TABLES[name]
    folder = root / name / manifests.run_folder(FINGERPRINT, run_id)
    tables = [
        pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)
        for rows in parts_rows
    ]
    parts = [
        write_part([table], folder, f"part-{number:05d}", schema)
        for number, table in enumerate(tables)
    ]
    rows = sum(part.rows for part in parts)
    manifests.commit(
        root,
        Manifest(
            name, "table", fields_of(schema), rows, parts, ProducedBy(stage, FINGERPRINT, run_id)
        ),
    )


@pytest.fixture
def published(root: Path) -> Path:
    """Anna has three recommendations, spread over parts and out of order; Bo has one; Cy has
    none.
    """
    _publish(root, "users", [(0, "anna")], [(1, "bo"), (2, "cy")])
    _publish(root, "items", [(10, "i10", "Ten"), (11, "i11", None)], [(12, "i12", "Twelve")])
    first = [(0, 3, 10, 0.25, "popular"), (1, 1, 12, 0.5, "als")]
    second = [(0, 1, 12, 0.75, "als"), (0, 2, 11, 0.5, "als")]
    _publish(root, "recommendations", first, second, stage="recommend")
    return root


def test_a_users_list_comes_in_the_order_of_its_ranks_with_titles(published: Path) -> None:
    assert lookup.recommendations_of(published, "anna", 10) == [
        Recommendation(1, "i12", "Twelve", 0.75, "als"),
        Recommendation(2, "i11", None, 0.5, "als"),
        Recommendation(3, "i10", "Ten", 0.25, "popular"),
    ]
    assert lookup.recommendations_of(published, "bo", 10) == [
        Recommendation(1, "i12", "Twelve", 0.5, "als")
    ]


def test_the_best_k_come_first(published: Path) -> None:
    assert [row.rank for row in lookup.recommendations_of(published, "anna", 2)] == [1, 2]


def test_an_unknown_user_gets_what_is_popular_said_to_be_that(published: Path) -> None:
    _publish(
        published, "popular_items", [(2, 10, 3.0), (1, 11, 7.0), (3, 12, 1.0)], stage="recommend"
    )
    for user in ("zoe", "", "caf\udce9"):
        assert not lookup.is_known(published, user)
        assert lookup.recommendations_of(published, user, 2) == [
            Recommendation(1, "i11", None, 7.0, "popular"),
            Recommendation(2, "i10", "Ten", 3.0, "popular"),
        ]
    assert lookup.is_known(published, "anna")


def test_titles_of_attributes_come_before_those_of_ratings(published: Path) -> None:
    _publish(
        published,
        "item_attributes",
        [_attributes(12, "Zwölf"), _attributes(10, None)],
        stage="prepare-items",
    )
    titles = [row.title for row in lookup.recommendations_of(published, "anna", 10)]
    assert titles == ["Zwölf", None, "Ten"]


def _attributes(item: int, title: str | None) -> tuple[object, ...]:
    values = {
        "item": item,
        "item_id": f"i{item}",
        "title": title,
        "genres": [],
        "tags": [],
        "numbers": [],
    }
    return tuple(values.get(name) for name in TABLES["item_attributes"].names)


def test_an_unknown_user_is_told_which_ids_look_right(published: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"there is no user 'Anna' among the 3 of .*users \(such as 'anna', 'bo', 'cy'\)",
    ):
        lookup.recommendations_of(published, "Anna", 10)


def test_a_user_without_recommendations_is_told_so(published: Path) -> None:
    with pytest.raises(DataError, match=r"user 'cy' has no recommendations in .*: rerun recommend"):
        lookup.recommendations_of(published, "cy", 10)


@pytest.mark.parametrize("name", ["recommendations", "users", "items"])
def test_a_missing_dataset_is_named(published: Path, name: str) -> None:
    (published / name / "manifest.json").unlink()
    with pytest.raises(ManifestError, match=f"there is no dataset {name} in"):
        lookup.recommendations_of(published, "anna", 10)


def test_id_maps_of_two_runs_are_not_joined(published: Path) -> None:
    _publish(published, "items", [(10, "i10", "Ten")], run_id="20250102T000000-00000000")
    with pytest.raises(ManifestError, match="come from different runs of prepare-ratings"):
        lookup.recommendations_of(published, "anna", 10)


@pytest.mark.parametrize(
    ("wanted", "found"), [(0, []), (1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (9, [0, 1, 2])]
)
def test_the_head_is_the_first_rows_across_parts(
    published: Path, wanted: int, found: list[int]
) -> None:
    first = rows.head(manifests.load(published, "users"), wanted)
    assert first.num_rows == len(found)
    assert [row["user"] for row in first.to_pylist()] == found


def test_the_head_of_a_table_without_parts_has_no_rows(root: Path) -> None:
    _publish(root, "users")
    assert rows.head(manifests.load(root, "users"), 5).num_rows == 0


def test_the_head_needs_no_part_beyond_the_last_it_shows(published: Path) -> None:
    users = manifests.load(published, "users")
    users.paths[1].write_bytes(b"\0" * users.paths[1].stat().st_size)
    assert rows.head(users, 0).num_rows == 0
    assert rows.head(users, 1).to_pylist() == [{"user": 0, "user_id": "anna"}]


@pytest.mark.parametrize("place", [30, -1], ids=["in a page", "in the footer"])
def test_a_flipped_bit_is_a_data_error_that_names_the_part(published: Path, place: int) -> None:
    users = manifests.load(published, "users")
    content = bytearray(users.paths[0].read_bytes())
    content[place] ^= 1
    users.paths[0].write_bytes(content)
    for look in (
        lambda: rows.head(users, 1),
        lambda: lookup.recommendations_of(published, "anna", 1),
    ):
        with pytest.raises(
            DataError,
            match=r"part-00000-\w+\.parquet cannot be read .*rerun prepare-ratings with --force",
        ):
            look()
