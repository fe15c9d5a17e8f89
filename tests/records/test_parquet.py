"""Raw Parquet files as text: one text per value whatever its type, every row counted, only what
is wanted looked at.
"""

import io
import itertools
import json
import random
import uuid
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from emberline.datasets import raw_files
from emberline.errors import ConfigError, DataError, EmberlineError, SchemaError
from emberline.records import parquet, parquet_file, parquet_pictures
from emberline.records.arrow_texts import MOMENT
from emberline.records.objects import WORDS
from emberline.records.parquet_file import Piece

LATIN = pa.array(["José".encode("latin-1"), b"anna", None]).view(pa.binary())


def written(table: pa.Table, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file


def rows(
    file: io.BytesIO,
    wanted: dict[str, str | int],
    lists: Iterable[str] = (),
    moments: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """What `read` gives of all row groups."""
    layout = parquet.layout(file, "a.parquet", wanted, tuple(lists))
    found = []
    for number, count in enumerate(layout.group_rows):
        batches = parquet.read(
            file, "a.parquet", wanted, Piece(number, count, 0, count), tuple(lists), tuple(moments)
        )
        found += [row for batch in batches for row in batch.to_pylist()]
    return found


def texts(values: pa.Array, **options: Any) -> list[str | None]:
    return [row["v"] for row in rows(written(pa.table({"v": values}), **options), {"v": "v"})]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([17850, -1, None], pa.int64()), ["17850", "-1", None]),
        (pa.array([17850.0, -1.0, None, float("nan")]), ["17850", "-1", None, None]),
        (pa.array([1e7, 0.5, 2.0**53], pa.float32()), ["10000000", "0.5", str(2**53)]),
        (
            pa.array([0.1, 1e-7, 123456789.25, 1e300, float("inf")]),
            ["0.1", "1e-7", "123456789.25", "1e+300", "inf"],
        ),
        (pa.array([4.0, 0.5], pa.float16()), ["4", "0.5"]),
        (
            pa.array([Decimal("17850.00"), Decimal("0.50"), Decimal("1200")], pa.decimal128(12, 2)),
            ["17850", "0.5", "1200"],
        ),
        (pa.array([Decimal(10**49), None], pa.decimal256(50, 0)), [str(10**49), None]),
        (
            pa.array([Decimal("0E-20"), Decimal("1E-20")], pa.decimal128(38, 20)),
            ["0", "0." + "0" * 19 + "1"],
        ),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array(["17850", "", None]), ["17850", "", None]),
        (pa.array([b"17850", None]), ["17850", None]),
        (pa.array(["a", "b", "a", None]).dictionary_encode(), ["a", "b", "a", None]),
        (pa.array([7, None]).dictionary_encode(), ["7", None]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([date(2020, 1, 2), None]), ["2020-01-02", None]),
        (
            pa.array([datetime(2020, 1, 2, 3, 4, 5, 600_000)], pa.timestamp("ms")),
            ["2020-01-02 03:04:05.6"],
        ),
        (pa.array([datetime(2020, 1, 2)], pa.timestamp("ns")), ["2020-01-02 00:00:00"]),
        (
            pa.array([datetime(1960, 1, 2)], pa.timestamp("s", "Asia/Tokyo")),
            ["1960-01-02 00:00:00"],
        ),
        (pa.nulls(2), [None, None]),
        (pa.array(["x"], pa.large_string()), ["x"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_value_has_one_text_whatever_its_type(
    values: pa.Array, expected: list[str | None]
) -> None:
    assert texts(values) == expected


def test_an_uuid_is_written_as_people_do() -> None:
    ids = [uuid.UUID(int=5), uuid.UUID(int=2**127)]
    values = pa.ExtensionArray.from_storage(
        pa.uuid(), pa.array([i.bytes for i in ids], pa.binary(16))
    )
    assert texts(values) == [str(i) for i in ids]


@pytest.mark.parametrize("use_dictionary", [True, False])
@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "brotli", "lz4", "none"])
def test_any_compression_that_arrow_undoes_is_read(compression: str, use_dictionary: bool) -> None:
    file = written(
        pa.table({"v": [str(i % 7) for i in range(1000)]}),
        compression=compression,
        use_dictionary=use_dictionary,
    )
    assert [row["v"] for row in rows(file, {"v": "v"})] == [str(i % 7) for i in range(1000)]


@pytest.mark.parametrize("encoding", ["DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "PLAIN"])
def test_any_encoding_is_read(encoding: str) -> None:
    file = written(
        pa.table({"v": list(range(1000))}), use_dictionary=False, column_encoding=encoding
    )
    assert [row["v"] for row in rows(file, {"v": "v"})] == [str(i) for i in range(1000)]


def test_times_of_96_bits_are_moments() -> None:
    moments = pa.array([datetime(2020, 1, 2, 3, 4, 5), None], pa.timestamp("ns"))
    file = written(pa.table({"v": moments}), use_deprecated_int96_timestamps=True)
    assert [row["v"] for row in rows(file, {"v": "v"}, moments=["v"])] == [
        f"{MOMENT}1577934245000000",
        None,
    ]


def test_a_moment_that_microseconds_do_not_reach_is_null() -> None:
    file = written(pa.table({"v": pa.array([2**62, 5], pa.timestamp("ms"))}))
    assert [row["v"] for row in rows(file, {"v": "v"}, moments=["v"])] == [None, f"{MOMENT}5000"]


def test_the_row_is_raw_as_json_of_the_wanted_columns() -> None:
    strange = 'say "hi",\\\n\x01ä'
    table = pa.table(
        {
            "u": [17850, None],
            "i": ["a", strange],
            "unused": [[1], None],
            "b": [True, None],
            "x": [0.5, 4.0],
        }
    )
    found = rows(
        written(table), {"user_id": "u", "item_id": "i", "value": "b", "other": "x", "again": "u"}
    )
    assert [json.loads(row["raw"]) for row in found] == [
        {"u": 17850, "i": "a", "b": True, "x": 0.5},
        {"i": strange, "x": 4},
    ]
    assert (
        rows(written(pa.table({"u": pa.nulls(2)})), {"u": "u"})
        == [{"raw": "{}", "problem": None, "u": None}] * 2
    )


def test_a_value_that_is_no_number_is_seen_in_the_row_though_it_is_none() -> None:
    file = written(
        pa.table(
            {
                "u": pa.array([float("nan"), None, 2.0]),
                "h": pa.array([float("nan"), 1.0, 1.0], pa.float16()),
            }
        )
    )
    found = rows(file, {"u": "u", "h": "h"})
    assert [(row["raw"], row["u"]) for row in found] == [
        ('{"u":NaN,"h":NaN}', None),
        ('{"h":1}', None),
        ('{"u":2,"h":1}', "2"),
    ]


def test_bytes_that_are_no_text_are_a_problem_of_their_row() -> None:
    file = written(pa.table({"v": LATIN, "w": ["x", "a\0b", "\ufffd"]}))
    assert [(row["problem"], row["v"]) for row in rows(file, {"v": "v", "w": "w"})] == [
        ("not valid utf-8", "Jos\ufffd"),
        ("holds a NUL character (a zero byte)", "anna"),
        (None, None),
    ]


def test_a_path_reaches_into_structs_unless_a_column_has_that_name() -> None:
    inner = [{"b": "inner", "c": {"d.e": 1}}, None]
    table = pa.table({"a": inner, "a.b": ["outer", "outer"]})
    found = rows(written(table), {"x": "a.b", "y": "a.c.d.e"})
    assert [(row["x"], row["y"]) for row in found] == [("outer", "1"), ("outer", None)]
    assert [row["x"] for row in rows(written(table.select(["a"])), {"x": "a.b"})] == ["inner", None]


def test_lists_are_words_where_they_may_be() -> None:
    table = pa.table({"g": [["a", "b c"], [], None, [None, "d"]], "n": [[1], [2, 3], [], None]})
    found = rows(written(table), {"genres": "g", "tags": "n"}, lists=["genres", "tags"])
    assert [row["genres"] for row in found] == [
        f"{WORDS}a{WORDS}b c",
        WORDS,
        None,
        f"{WORDS}{WORDS}d",
    ]
    assert [row["tags"] for row in found] == [f"{WORDS}1", f"{WORDS}2{WORDS}3", WORDS, None]
    assert json.loads(found[0]["raw"]) == {"g": ["a", "b c"], "n": ["1"]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            pa.table({"x": [1]}),
            "a.parquet: column 'v' is missing; the file has: x; correct columns",
        ),
        (
            pa.table([[1], [2]], ["v", "v"]),
            "a.parquet: column 'v' appears 2 times; the file has: v, v",
        ),
        (pa.table({"v": [[1]]}), r"column 'v' is list<element: int64>, expected a text, a number"),
        (
            pa.table({"v": [{"a": 1}]}),
            r"column 'v' is struct<a: int64>, name what is meant in it: 'v.a'",
        ),
        (
            pa.table({"v": [time(8)]}),
            r"column 'v' is time64\[us\], expected .*; write it as a number or as text",
        ),
        (
            pa.table({"v": [timedelta(1)]}),
            r"column 'v' is duration\[us\], expected .*; write it as a number or as text",
        ),
        (
            pa.table({"v": pa.array([b"\0" * 16], pa.binary(16))}),
            r"column 'v' is fixed_size_binary\[16\], bytes are no text",
        ),
    ],
)
def test_a_column_that_cannot_be_used_is_named_with_its_type(table: pa.Table, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        parquet.layout(written(table), "a.parquet", {"v": "v"})


def test_columns_that_nobody_asked_for_do_not_matter() -> None:
    ids = pa.array([b"\0" * 16], pa.binary(16))
    odd = [
        pa.array([time(8)]),
        pa.array([timedelta(1)]),
        pa.ExtensionArray.from_storage(pa.uuid(), ids),
        pa.array(["x"]),
        pa.array(["y"]),
    ]
    table = pa.table([pa.array([5]), *odd], ["v", "a", "b", "c", "d", "d"])
    assert [row["v"] for row in rows(written(table), {"v": "v"})] == ["5"]


def test_a_position_is_no_column() -> None:
    with pytest.raises(ConfigError, match="columns of Parquet have names, found a position"):
        parquet.layout(written(pa.table({"v": [1]})), "a.parquet", {"v": 1})


def test_the_head_is_the_first_rows(tmp_path: Path) -> None:
    file = written(pa.table({"v": list(range(50))}), row_group_size=20)
    layout, batch = parquet.head(file, "a.parquet", {"v": "v"}, rows=5)
    assert (layout.names, layout.group_rows) == (("v",), (20, 20, 10))
    assert batch["v"].to_pylist() == list("01234")
    nothing = parquet.head(
        written(pa.table({"v": pa.array([], pa.int64())})), "a.parquet", {"v": "v"}
    )[1]
    assert (nothing.num_rows, nothing.schema.names) == (0, ["raw", "problem", "v"])


# --------------------------------------------------------------------------------------------------
# damage


def many(**options: Any) -> bytes:
    rng = random.Random(5)
    table = pa.table({"v": [rng.randrange(10**9) for _ in range(10_000)], "w": ["x"] * 10_000})
    return written(table, row_group_size=2500, **options).getvalue()


def count(content: bytes) -> int:
    return len(rows(io.BytesIO(content), {"v": "v"}))


@pytest.mark.parametrize(
    "content", [b"", b"u,i\n1,2\n", b"PAR1", many()[:-1], many()[: len(many()) // 2]]
)
def test_a_file_that_is_not_whole_is_named(content: bytes) -> None:
    with pytest.raises(DataError, match=r"a\.parquet is not a whole Parquet file: "):
        count(content)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("checksums", [True, False])
def test_a_file_of_which_bytes_are_cut_out_before_a_whole_footer_is_named(
    share: float, checksums: bool
) -> None:
    whole = many(write_page_checksum=checksums)
    footer = len(whole) - int.from_bytes(whole[-8:-4], "little") - 8
    with pytest.raises(DataError, match=r"a\.parquet"):
        count(whole[: int(footer * share)] + whole[footer:])


def test_a_flipped_bit_of_a_page_is_noticed_where_pages_have_checksums() -> None:
    whole, noticed = many(write_page_checksum=True), 0
    column = pq.read_metadata(io.BytesIO(whole)).row_group(1).column(0)
    begin = column.dictionary_page_offset or column.data_page_offset
    for place in range(begin + 60, begin + column.total_compressed_size, 997):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        with pytest.raises(DataError, match=r"a\.parquet cannot be read: .*CRC"):
            count(bytes(damaged))
        noticed += 1
    assert noticed > 5


def test_rows_are_counted_against_what_the_footer_said_when_the_tasks_were_made() -> None:
    file = io.BytesIO(many())
    with pytest.raises(
        DataError,
        match=(
            "its row group 1 holds 2,500 rows where its footer says 2,600; it is damaged, or was"
            " changed"
        ),
    ):
        list(parquet.read(file, "a.parquet", {"v": "v"}, Piece(1, 2600, 0, 2600)))
    with pytest.raises(DataError, match="its row group 7 is gone"):
        list(parquet.read(file, "a.parquet", {"v": "v"}, Piece(7, 2500, 0, 2500)))


def test_pieces_of_a_row_group_have_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 7)
    file = written(pa.table({"v": list(range(100))}))
    for edges in ([0, 100], [0, 7, 50, 51, 100], [0, 0, 99, 100]):
        pieces = [Piece(0, 100, low, high) for low, high in itertools.pairwise(edges)]
        batches = [
            batch
            for piece in pieces
            for batch in parquet.read(file, "a.parquet", {"v": "v"}, piece)
        ]
        assert [int(row["v"]) for batch in batches for row in batch.to_pylist()] == list(range(100))


def test_a_file_that_vanishes_after_the_tasks_were_made_is_missed(tmp_path: Path) -> None:
    task = {
        "uri": str(tmp_path / "a.parquet"),
        "source_file": "a.parquet",
        "group": 0,
        "rows": 1,
        "start": 0,
        "end": 1,
    }
    tasks = pa.RecordBatch.from_pylist([task | {"first_row": 0, "bytes": 9}], parquet_file.TASKS)
    with pytest.raises(DataError, match=r"/a\.parquet cannot be read: .*No such file"):
        list(parquet.read_tasks(iter([tasks]), {"v": "v"}, (), (), raw_files.open_arrow))


PICTURES: dict[str, str | int] = {"item_id": "id", "image": "image", "label": "label"}


def pictures(rng: random.Random) -> tuple[bytes, int]:
    """A file of pictures as Hugging Face writes them, and how many."""
    count = rng.randint(1, 60)
    images = [
        {"bytes": rng.randbytes(rng.randint(0, 300)) or None, "path": f"{n}.png"}
        for n in range(count)
    ]
    table = pa.table(
        {
            "id": [f"é{n}" for n in range(count)],
            "image": images,
            "label": [n % 4 - 1 for n in range(count)],
        }
    )
    how = {
        "row_group_size": rng.randint(5, 60),
        "compression": rng.choice(["snappy", "zstd", "none"]),
    }
    return written(table, write_page_checksum=rng.random() < 0.5, **how).getvalue(), count


def read_pictures(content: bytes) -> int:
    names = ["x", "y", "z"]
    layout = parquet_pictures.picture_layout(io.BytesIO(content), "a", PICTURES, names)
    tasks = [
        {
            "uri": "a",
            "source_file": "a",
            "group": group,
            "rows": rows,
            "start": 0,
            "end": rows,
            "first_row": 0,
            "bytes": 1,
        }
        for group, rows in enumerate(layout.group_rows)
    ]
    batch = pa.RecordBatch.from_pylist(tasks, parquet_file.TASKS)
    found = parquet_pictures.read_pictures(
        iter([batch]), PICTURES, names, lambda uri: io.BytesIO(content)
    )
    return sum(rows.num_rows for rows in found)


@pytest.mark.faults
def test_of_a_damaged_file_of_pictures_every_one_is_read_or_the_file_is_refused() -> None:
    refused = 0
    for number in range(1000):
        rng = random.Random(number)
        whole, count = pictures(rng)
        content = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        if number % 5 == 0:
            del content[rng.randrange(len(content)) :]
        try:
            assert read_pictures(bytes(content)) == count, number
        except EmberlineError:
            refused += 1
    assert 300 < refused < 900


class _Keys(pe.KmsClient):  # type: ignore[misc]
    """Wraps keys by doing nothing to them."""

    def __init__(self, config: pe.KmsConnectionConfig) -> None:
        pe.KmsClient.__init__(self)

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return key_bytes.hex().encode()

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key.decode())


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_an_encrypted_file_is_called_so(tmp_path: Path, plaintext_footer: bool) -> None:
    settings = pe.EncryptionConfiguration(
        footer_key="f", column_keys={"c": ["v"]}, plaintext_footer=plaintext_footer
    )
    encryption = pe.CryptoFactory(_Keys).file_encryption_properties(
        pe.KmsConnectionConfig(), settings
    )
    table = pa.table({"v": [1], "w": [2]})
    with pq.ParquetWriter(
        tmp_path / "a.parquet", table.schema, encryption_properties=encryption
    ) as writer:
        writer.write_table(table)
    with pytest.raises(
        DataError,
        match=r"a\.parquet is encrypted, for which there is no key here; decrypt it first",
    ):
        count((tmp_path / "a.parquet").read_bytes())
    if plaintext_footer:
        assert len(rows(io.BytesIO((tmp_path / "a.parquet").read_bytes()), {"w": "w"})) == 1
