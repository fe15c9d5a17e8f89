"""Parts as they are written, checked by reading them back with pyarrow and hashing them with
hashlib.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline.datasets import parts
from emberline.errors import DataError

USERS = pa.schema(
    [pa.field("user", pa.int32(), nullable=False), pa.field("user_id", pa.string(), nullable=False)]
)


def _users(*numbers: int) -> pa.Table:
    return pa.table({"user": list(numbers), "user_id": [f"u{n}" for n in numbers]}, schema=USERS)


def _batch(partition: int, *numbers: int) -> pa.RecordBatch:
    """As Spark sends it: the partition's number first, then columns that know less than the
    schema.
    """
    columns = {
        "_partition": pa.array([partition] * len(numbers), pa.int32()),
        "user": pa.array(numbers, pa.int32()),
        "user_id": pa.array([f"u{n}" for n in numbers], pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def _written(batches: list[pa.RecordBatch], folder: Path) -> list[dict[str, object]]:
    return [
        row
        for batch in parts.write_parts(iter(batches), str(folder), USERS)
        for row in batch.to_pylist()
    ]


def test_a_part_holds_the_rows_and_its_record_is_true(tmp_path: Path) -> None:
    part = parts.write_part([_users(1, 2), _users(3)], tmp_path / "run", "part-00000", USERS)
    path = tmp_path / part.path
    content = path.read_bytes()
    assert path.parent == tmp_path / "run"
    assert path.name.startswith("part-00000-")
    assert (part.bytes, part.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (part.rows, part.row_groups) == (3, 1)
    read = pq.read_table(path)
    assert read.schema.equals(USERS)
    assert read.to_pydict() == {"user": [1, 2, 3], "user_id": ["u1", "u2", "u3"]}


def test_pages_are_compressed_with_zstd(tmp_path: Path) -> None:
    part = parts.write_part([_users(*range(10))], tmp_path / "run", "part-00000", USERS)
    assert (
        pq.ParquetFile(tmp_path / part.path).metadata.row_group(0).column(1).compression == "ZSTD"
    )


def test_pages_carry_checksums_so_that_a_flipped_bit_is_noticed_on_reading(tmp_path: Path) -> None:
    part = parts.write_part([_users(*range(1000))], tmp_path / "run", "part-00000", USERS)
    content = bytearray((tmp_path / part.path).read_bytes())
    content[200] ^= 1
    with pytest.raises(OSError, match="CRC checksum"):
        pq.read_table(pa.BufferReader(bytes(content)), page_checksum_verification=True)


FLOATS = pa.schema([("item", pa.int32()), ("f", pa.list_(pa.float32())), ("value", pa.float32())])


def _floats(rows: int, width: int, values: int) -> pa.Table:
    """Lists of floats that hardly repeat, and as many different values as is said."""
    rng = np.random.default_rng(1)
    lists = rng.normal(size=(rows, width)).astype(np.float32)
    columns = [np.arange(rows, dtype=np.int32), list(lists), rng.integers(0, values, rows) / 2]
    return pa.table(columns, FLOATS.names).cast(FLOATS)


@pytest.mark.parametrize(("values", "repeats"), [(10, True), (1 << 20, False)])
def test_floats_have_a_dictionary_only_where_they_repeat(
    values: int, repeats: bool, tmp_path: Path
) -> None:
    table = _floats(5000, 16, values)
    tables = [table.slice(0, 3000), table.slice(3000)]
    part = parts.write_part(tables, tmp_path / "run", "part", FLOATS)
    group = pq.ParquetFile(tmp_path / part.path).metadata.row_group(0)
    found = [group.column(at).has_dictionary_page for at in range(3)]
    assert found == [True, False, repeats]
    assert pq.read_table(tmp_path / part.path).equals(table)


def test_factors_take_no_more_than_their_bytes(tmp_path: Path) -> None:
    """A dictionary, and places in it, take half as many again."""
    table = _floats(20_000, 64, 10).select(["item", "f"])
    part = parts.write_part([table], tmp_path / "run", "part", table.schema)
    assert part.bytes < 20_000 * 65 * 4


def test_floats_without_any_value_are_written(tmp_path: Path) -> None:
    empty = pa.table([[1, 2], [[], []], [None, None]], FLOATS.names).cast(FLOATS)
    part = parts.write_part([empty], tmp_path / "run", "part", FLOATS)
    assert pq.read_table(tmp_path / part.path).equals(empty)


def test_two_parts_of_one_stem_never_share_a_file(tmp_path: Path) -> None:
    """A task that Spark repeats writes beside the first attempt, not over it."""
    one, other = (
        parts.write_part([_users(1)], tmp_path / "run", "part-00000", USERS) for _ in range(2)
    )
    assert one.path != other.path
    assert one.sha256 == other.sha256
    assert len(list((tmp_path / "run").iterdir())) == 2


def test_small_tables_are_joined_into_row_groups_worth_their_metadata(tmp_path: Path) -> None:
    tables = (_users(*range(start, start + 1000)) for start in range(0, 300_000, 1000))
    part = parts.write_part(tables, tmp_path / "run", "part-00000", USERS)
    metadata = pq.ParquetFile(tmp_path / part.path).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [
        132_000,
        132_000,
        36_000,
    ]
    assert (part.rows, part.row_groups) == (300_000, 3)


def test_row_groups_of_long_values_are_cut_by_bytes(tmp_path: Path) -> None:
    schema = pa.schema([("pixels", pa.binary())])
    forty_mib = pa.table({"pixels": [bytes(40 << 20)]}, schema=schema)
    part = parts.write_part([forty_mib] * 3, tmp_path / "run", "part-00000", schema)
    assert (part.rows, part.row_groups) == (3, 2)


def test_a_part_without_rows_is_a_valid_file(tmp_path: Path) -> None:
    part = parts.write_part([], tmp_path / "run", "part-00000", USERS)
    assert (part.rows, part.row_groups) == (0, 0)
    assert pq.read_table(tmp_path / part.path).schema.equals(USERS)


def test_a_null_where_none_may_be_is_refused(tmp_path: Path) -> None:
    nullable = pa.table({"user": pa.array([1, None], pa.int32()), "user_id": ["u1", "u2"]})
    with pytest.raises((ValueError, OSError), match=r"null|non-nullable"):
        _ = parts.write_part([nullable.cast(USERS)], tmp_path / "run", "part-00000", USERS)


def test_a_partition_becomes_one_part_and_one_row_about_it(tmp_path: Path) -> None:
    (row,) = _written([_batch(7, 1, 2), _batch(7, 3)], tmp_path / "run")
    assert list(row) == parts.WRITTEN_PARTS.names
    path = tmp_path / str(row["path"])
    assert path.name.startswith("part-00007-")
    assert pq.read_table(path).to_pydict() == {"user": [1, 2, 3], "user_id": ["u1", "u2", "u3"]}
    assert (row["_partition"], row["rows"], row["row_groups"], row["bytes"]) == (
        7,
        3,
        1,
        path.stat().st_size,
    )
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_empty_partition_writes_nothing(tmp_path: Path) -> None:
    assert _written([], tmp_path / "run") == []
    assert not (tmp_path / "run").exists()


def test_batches_without_rows_do_not_matter(tmp_path: Path) -> None:
    assert _written([_batch(7)], tmp_path / "run") == []
    (row,) = _written([_batch(7), _batch(7, 1), _batch(7)], tmp_path / "run")
    assert (row["_partition"], row["rows"]) == (7, 1)


def test_what_a_failing_task_leaves_is_never_announced(tmp_path: Path) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield _batch(0, 1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(parts.write_parts(batches(), str(tmp_path / "run"), USERS))


def test_a_file_of_an_artifact_is_written_with_its_hash(tmp_path: Path) -> None:
    part = parts.write_file(b"a,b\n1,2\n", tmp_path / "run", "tables/events.csv")
    assert part.path == "run/tables/events.csv"
    assert (tmp_path / part.path).read_bytes() == b"a,b\n1,2\n"
    assert (part.rows, part.row_groups, part.bytes) == (0, 0, 8)
    assert part.sha256 == hashlib.sha256(b"a,b\n1,2\n").hexdigest()


def test_a_file_of_an_artifact_is_written_once(tmp_path: Path) -> None:
    parts.write_file(b"old", tmp_path / "run", "events.csv")
    with pytest.raises(FileExistsError):
        parts.write_file(b"new", tmp_path / "run", "events.csv")
    assert (tmp_path / "run" / "events.csv").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["../events.csv", "/tmp/events.csv", ""])
def test_a_file_of_an_artifact_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="does not name a place inside"):
        parts.write_file(b"", tmp_path / "run", name)
    assert not (tmp_path / "events.csv").exists()
