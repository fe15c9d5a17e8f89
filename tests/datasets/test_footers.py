"""A bit flipped in any region of any table: every reader of ours names the part, and none gives
other rows.
"""

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import dataset

from emberline.datasets import manifest as manifests
from emberline.datasets import rows
from emberline.datasets.footers import check_footers, read_footer
from emberline.datasets.manifest import Dataset, Manifest, ProducedBy, commit, run_folder
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.errors import DataError

Reader = Callable[[Dataset], pa.Table]

VALUES: dict[pa.DataType, Callable[[random.Random], object]] = {
    pa.int32(): lambda rng: rng.randrange(1000),
    pa.int64(): lambda rng: rng.randrange(1 << 40),
    pa.float16(): lambda rng: np.float16(rng.random()),
    pa.float32(): lambda rng: rng.random(),
    pa.float64(): lambda rng: rng.random(),
    pa.bool_(): lambda rng: rng.random() < 0.5,
    pa.string(): lambda rng: rng.choice(["anna", "бета", "", "γ" * 9]),
    pa.binary(): lambda rng: rng.randbytes(48),
    pa.timestamp("us", tz="UTC"): lambda rng: rng.randrange(1 << 50),
}


def value(kind: pa.DataType, rng: random.Random) -> object:
    return (
        [value(kind.value_type, rng) for _ in range(3)]
        if pa.types.is_list(kind)
        else VALUES[kind](rng)
    )


def publish(root: Path, name: str, count: int = 300) -> Dataset:
    """A table of random rows in two parts."""
    rng, schema, run_id = random.Random(name), TABLES[name], "20250101T000000-00000000"
    table = pa.table(
        {field.name: [value(field.type, rng) for _ in range(count)] for field in schema}, schema
    )
    folder = root / name / run_folder("0" * 64, run_id)
    halves = (table.slice(0, count // 2), table.slice(count // 2))
    parts = [
        write_part([half], folder, f"part-{number:05d}", schema)
        for number, half in enumerate(halves)
    ]
    made = ProducedBy("the-stage", "0" * 64, run_id)
    commit(root, Manifest(name, "table", fields_of(schema), count, parts, made, rank=3))
    return manifests.load(root, name)


def regions(path: Path) -> dict[str, range]:
    """The places of a Parquet file's bytes, by what they are."""
    content, group = path.read_bytes(), pq.read_metadata(path).row_group(0)
    footer = len(content) - len(read_footer(path))
    found = {"first magic": range(4), "footer": range(footer, len(content) - 8)}
    found |= {
        "footer's length": range(len(content) - 8, len(content) - 4),
        "last magic": range(len(content) - 4, len(content)),
    }
    for number in range(group.num_columns):
        chunk = group.column(number)
        begin = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)))
        end = begin + chunk.total_compressed_size
        found[f"header of {chunk.path_in_schema}"] = range(begin, begin + 12)
        found[f"end of {chunk.path_in_schema}"] = range(end - 4, end)
    return found


def flipped(path: Path, at: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def by_batches(dataset: Dataset) -> pa.Table:
    return pa.Table.from_batches(rows.batches(dataset, TABLES[dataset.name].names))


def by_head(dataset: Dataset) -> pa.Table:
    return rows.head(dataset, dataset.rows)


def by_workers(dataset: Dataset) -> pa.Table:
    def everything(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return batches

    numbers = pa.record_batch({"id": list(range(len(rows.row_groups(dataset))))})
    return pa.Table.from_batches(
        rows.hand_over(iter([numbers]), dataset, TABLES[dataset.name].names, everything)
    )


@pytest.fixture(scope="module", params=TABLES)
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return publish(tmp_path_factory.mktemp("root"), request.param)


@pytest.fixture
def page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are not compared whole."""
    monkeypatch.setattr("emberline.datasets.footers._SMALL", 0)


def check_flips(table: Dataset, read: Reader, places: dict[str, list[int]]) -> None:
    """A bit at each place, the next of its byte each time, ends the reading with the part's
    name and what to do.
    """
    path = table.paths[1]
    content = path.read_bytes()
    for region, some in places.items():
        for bit, place in enumerate(some):
            flipped(path, place, bit % 8)
            with pytest.raises(DataError) as error:
                pytest.fail(f"{region}: the bit at {place} passed, of {read(table).num_rows} rows")
            path.write_bytes(content)
            assert re.search(
                rf"{path.name} cannot be read \(.+\); rerun the-stage with --force$",
                str(error.value),
            ), region


@pytest.mark.parametrize("read", [by_batches, by_head, by_workers], ids=lambda read: read.__name__)
def test_a_flipped_bit_in_any_region_of_a_table_names_the_part(
    table: Dataset, read: Reader, page_by_page: None
) -> None:
    """But the headers of pages, which have no checksum."""
    found = regions(table.paths[1]).items()
    check_flips(
        table,
        read,
        {
            name: list(places[:: 1 + len(places) // 6])
            for name, places in found
            if "header" not in name
        },
    )


def test_no_bit_of_a_small_table_passes(tmp_path: Path) -> None:
    users = publish(tmp_path, "users", count=20)
    check_flips(users, by_batches, {"any": list(range(0, users.manifest.parts[1].bytes, 5))})


def test_footers_are_checked_without_reading_a_page(tmp_path: Path, page_by_page: None) -> None:
    users = publish(tmp_path, "users")
    check_footers(users)
    flipped(users.paths[1], 40, 0)
    check_footers(users)
    flipped(users.paths[1], users.manifest.parts[1].bytes - 60, 0)
    with pytest.raises(
        DataError,
        match=rf"{users.paths[1].name} cannot be read \(its footer was altered\); rerun the-stage",
    ):
        check_footers(users)


def test_a_footer_longer_than_what_is_read_at_once_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = publish(tmp_path, "users").paths
    expected = read_footer(path)
    monkeypatch.setattr("emberline.datasets.footers._AT_ONCE", 16)
    assert read_footer(path) == expected
    assert pq.read_metadata(pa.BufferReader(expected)).equals(pq.read_metadata(path))


def test_other_programs_read_the_folder_of_a_run(tmp_path: Path) -> None:
    """As docs/contracts.md has it; an earlier run's parts beside it are not read."""
    folder = publish(tmp_path, "recommendations").folder
    earlier = folder / run_folder("1" * 64, "20240101T000000-00000000")
    write_part(
        [TABLES["recommendations"].empty_table()], earlier, "part-00000", TABLES["recommendations"]
    )
    run = (
        Path(str(folder))
        / json.loads((folder / "manifest.json").read_bytes())["parts"][0]["path"].split("/")[0]
    )
    expected = by_batches(manifests.load(tmp_path, "recommendations"))
    assert pd.read_parquet(run).equals(expected.to_pandas())
    assert dataset.dataset(run).to_table().to_pylist() == expected.to_pylist()


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" + b"\xff" * 4 + b"PAR1", b"PAR1PAR1", b"x" * 100]
)
def test_what_is_no_parquet_file_has_no_footer(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(OSError, match="does not begin and end as a Parquet file"):
        read_footer(tmp_path / "a.parquet")
