"""Rows in files of their own: what is stored comes back, and damage is named."""

from pathlib import Path

import pyarrow as pa
import pytest

from emberline.datasets.block_files import FILE, BlockFiles, store
from emberline.errors import DataError

SCHEMA = pa.schema([("block", pa.int32()), ("ids", pa.binary()), ("count", pa.int64())])
ROWS = [
    {"block": number, "ids": bytes([number]) * number, "count": 10 * number} for number in range(4)
]


@pytest.fixture
def files(tmp_path: Path) -> BlockFiles:
    table = pa.Table.from_pylist(ROWS, schema=SCHEMA)
    written = pa.Table.from_batches(
        store(iter(table.to_batches(3)), tmp_path / "blocks", ["block", "count"])
    ).to_pylist()
    assert [(row["block"], row["count"]) for row in written] == [
        (row["block"], row["count"]) for row in ROWS
    ]
    return BlockFiles(tmp_path / "blocks", {row["block"]: row[FILE] for row in written})


def test_every_row_comes_back_from_its_own_file(files: BlockFiles) -> None:
    numbers = pa.table({"id": [2, 9, 0, 3]}).to_batches(1)
    assert pa.Table.from_batches(files.load(iter(numbers)), SCHEMA).to_pylist() == [
        ROWS[2],
        ROWS[0],
        ROWS[3],
    ]
    assert files.row(9) is None


def test_no_bit_of_a_file_flips_unnoticed(files: BlockFiles) -> None:
    path = files.folder / files.names[3]
    assert isinstance(path, Path)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(
            content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        )
        with pytest.raises(DataError, match=f"{path.name} cannot be read"):
            files.row(3)
    path.write_bytes(content)
    assert files.row(3) is not None


def test_a_cut_file_is_named(files: BlockFiles) -> None:
    path = files.folder / files.names[3]
    assert isinstance(path, Path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{path.name} cannot be read"):
        files.row(3)


def test_names_do_not_leave_the_folder(files: BlockFiles) -> None:
    with pytest.raises(DataError):
        BlockFiles(files.folder, {0: "../other.arrow"}).row(0)
