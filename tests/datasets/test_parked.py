"""Values in files of their own: the rows get them back in whatever order and selection they
come.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from emberline.datasets import parked
from emberline.datasets.remote import RemotePath
from emberline.errors import DataError

ROWS = [
    {"name": f"n{number}", "value": None if number % 7 == 3 else bytes([number]) * number}
    for number in range(20)
]
VALUES = {row["name"]: row["value"] for row in ROWS}


def batches(size: int) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([("name", pa.string()), ("value", pa.binary())])
    return iter(pa.Table.from_pylist(ROWS, schema).to_batches(max_chunksize=size))


def park(folder: Path, size: int = 6) -> pa.Table:
    return pa.Table.from_batches(parked.park(batches(size), iter, "value", str(folder)))


def fetched(folder: Path, *given: pa.Table) -> list[tuple[str, bytes | None]]:
    every = [batch for table in given for batch in table.combine_chunks().to_batches()]
    return [
        (row["name"], row["value"])
        for batch in parked.fetch(iter(every), "value", str(folder), 6)
        for row in batch.to_pylist()
    ]


def test_rows_get_their_values_back(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    places = park(folder)
    assert places.column_names == [
        "name",
        "parked_file",
        "parked_at",
        "parked_bytes",
        "parked_sum",
    ]
    assert fetched(folder, places) == list(VALUES.items())


def test_in_any_order_and_selection_from_several_files(tmp_path: Path) -> None:
    first, second = park(tmp_path), park(tmp_path, size=3)
    mixed = pa.concat_tables(
        [first.slice(7, 9), second.slice(0, 5), first.slice(2, 1), second.slice(19)]
    )
    names = [name for name, _ in fetched(tmp_path, mixed.take(list(reversed(range(len(mixed))))))]
    assert names == mixed["name"].to_pylist()[::-1]
    assert fetched(tmp_path, mixed, first) == [
        (name, VALUES[name]) for name in [*mixed["name"].to_pylist(), *VALUES]
    ]


def test_batches_have_so_many_rows_at_most(tmp_path: Path) -> None:
    every = park(tmp_path).combine_chunks().to_batches()
    found = parked.fetch(iter(every), "value", str(tmp_path), 6)
    assert [batch.num_rows for batch in found] == [6, 6, 6, 2]


def test_of_any_number_of_files_few_are_open_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emberline.datasets.parked._OPEN_FILES", 2)
    every = pa.concat_tables([park(tmp_path) for _ in range(7)])
    expected = [pair for _ in range(7) for pair in VALUES.items()]
    order = [row * 37 % 140 for row in range(140)]
    found = fetched(tmp_path, every.take(order))
    assert found == [expected[row] for row in order]


def test_they_may_be_in_an_object_store(s3_root: RemotePath) -> None:
    places = pa.Table.from_batches(parked.park(batches(6), iter, "value", str(s3_root)))
    order = [row * 7 % 20 for row in range(20)]
    found = list(parked.fetch(iter(places.take(order).to_batches()), "value", str(s3_root), 20))
    values = [value.as_py() for batch in found for value in batch["value"]]
    assert values == [list(VALUES.values())[row] for row in order]


def test_no_rows_leave_no_file(tmp_path: Path) -> None:
    assert list(parked.park(iter([]), iter, "value", str(tmp_path))) == []
    assert list(tmp_path.iterdir()) == []
    assert fetched(tmp_path, park(tmp_path).slice(0, 0)) == []


def test_a_flipped_bit_of_a_value_is_noticed(tmp_path: Path) -> None:
    places = park(tmp_path)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    for number in (8, 9, 15, 19):
        at = content.index(bytes([number]) * number)
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(
            DataError, match=rf"{file.name} cannot be read \(its checksum .*\); run the stage again"
        ):
            fetched(tmp_path, places)
    file.write_bytes(content)
    assert fetched(tmp_path, places) == list(VALUES.items())


def test_a_file_that_was_cut_is_named(tmp_path: Path) -> None:
    places = park(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{file.name} cannot be read .it has been cut.; run the"):
        fetched(tmp_path, places)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    places = park(tmp_path)
    (file,) = tmp_path.iterdir()
    file.unlink()
    with pytest.raises(DataError, match=f"{file.name} cannot be read"):
        fetched(tmp_path, places)
