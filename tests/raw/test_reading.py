"""Raw files of every kind read back: what a row holds, where it comes from, and what is said of
a row that does not parse.
"""

import bz2
import csv
import gzip
import io
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from emberline.datasets import listing
from emberline.errors import ConfigError, DataError, EmberlineError, SchemaError
from emberline.flow.rows import Flow
from emberline.raw.reading import read_raw
from emberline.records.arrow_texts import MOMENT as MARK
from emberline.sections.raw import RawConfig

File = str | bytes | pa.Table
Row = tuple[str | None, ...]
Load = Callable[..., list[Row]]
WANTED: dict[str, str | int] = {"user_id": "u", "item_id": "i"}


@pytest.fixture
def load(flow: Flow, tmp_path: Path) -> Load:
    """`load(files, ...)` writes files and reads them: source_file, raw, problem and the wanted
    columns, in the files' order.
    """

    def write_and_read(
        files: dict[str, File],
        wanted: dict[str, str | int] = WANTED,
        path: str = "",
        **settings: Any,
    ) -> list[Row]:
        for name, content in files.items():
            _write(tmp_path / "in" / name, content)
        config = RawConfig(path=str(tmp_path / "in" / path), **settings)
        rows = read_raw(flow, listing.list_files(config.path), config, wanted).table()
        return sorted(
            (tuple(row.values()) for row in rows.to_pylist()), key=lambda row: str(row[0])
        )

    return write_and_read


def _write(path: Path, content: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def _values(rows: list[Row]) -> list[Row]:
    return [row[3:] for row in rows]


def _problems(rows: list[Row]) -> list[tuple[str | None, str | None]]:
    return [(row[1], row[2]) for row in rows]


# --------------------------------------------------------------------------------------------------
# separated values


@pytest.mark.parametrize("separator", [",", "\t", "|", "::", "->,"])
def test_a_separator_cuts_fields_but_not_inside_quotes(load: Load, separator: str) -> None:
    lines = ["u,i", "1,a b", '2,"x,y"', '"3,","say ""hi"""', ",", "4,"]
    rows = load(
        {"a.csv": "\n".join(line.replace(",", separator) for line in lines)}, separator=separator
    )
    assert _values(rows) == [
        ("1", "a b"),
        ("2", f"x{separator}y"),
        (f"3{separator}", 'say "hi"'),
        (None, None),
        ("4", None),
    ]
    assert [row[2] for row in rows] == [None] * 5


def test_random_fields_are_those_that_pythons_csv_module_reads(load: Load) -> None:
    rng = random.Random(7)
    rows = [
        ["1", *("".join(rng.choices('aé€😀,;:" \\#', k=rng.randint(0, 6))) for _ in range(3))]
        for _ in range(500)
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["one", "two", "three", "four"], *rows])
    wanted: dict[str, str | int] = {"a": "one", "b": "two", "c": "three", "d": "four"}
    found = load({"a.csv": text.getvalue()}, wanted)
    assert [[value or "" for value in row] for row in _values(found)] == rows
    assert {row[2] for row in found} == {None}


def test_without_a_header_columns_are_positions_and_the_first_line_counts(load: Load) -> None:
    rows = load(
        {"u.data": "1::2::9.5\n3::4::8\n"}, {"value": 3, "user_id": 1}, separator="::", header=False
    )
    assert _values(rows) == [("9.5", "1"), ("8", "3")]


def test_a_separator_in_a_quoted_column_name_is_part_of_the_name(load: Load) -> None:
    rows = load({"a.csv": '"u::x"::i\n1::2\n'}, {"user_id": "u::x", "item_id": "i"}, separator="::")
    assert _values(rows) == [("1", "2")]


def test_without_a_quote_character_quotes_are_text(load: Load) -> None:
    rows = load({"a.csv": 'u,i\n"1,12" plate\n2,""\n'}, quote="")
    assert _values(rows) == [('"1', '12" plate'), ("2", '""')]
    assert [row[2] for row in rows] == [None, None]


def test_another_quote_character_protects_a_separator(load: Load) -> None:
    assert _values(load({"a.csv": "u,i\n'1,2','it''s \"3\"'\n"}, quote="'")) == [
        ("1,2", 'it\'s "3"')
    ]


def test_comments_and_blank_lines_are_no_rows(load: Load) -> None:
    rows = load({"a.csv": "# a shop\n\n   \nu,i\n#1,2\n3,#4\n\n#\n5,6"}, comment="#")
    assert _values(rows) == [("3", "#4"), ("5", "6")]


def test_a_header_is_dropped_wherever_it_is_repeated(load: Load) -> None:
    assert _values(load({"a.csv": "u,i\n1,2\nu,i\n3,4\n"})) == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_are_no_text(load: Load, end: str) -> None:
    rows = load({"a.csv": f"\ufeffu,i{end}1,x{end}2,y{end}"})
    assert rows == [("a.csv", "1,x", None, "1", "x"), ("a.csv", "2,y", None, "2", "y")]


def test_only_line_feeds_and_carriage_returns_end_a_header(load: Load) -> None:
    assert _values(load({"a.csv": "u,i,\u2028x\x0by\x85\n1,2,3\n"})) == [("1", "2")]


def test_a_line_with_another_number_of_fields_keeps_its_text(load: Load) -> None:
    assert _problems(load({"a.csv": "u,i\n1\n2,x\n3,x,y\n,,,\n"})) == [
        ("1", "wrong number of fields"),
        ("2,x", None),
        ("3,x,y", "wrong number of fields"),
        (",,,", "wrong number of fields"),
    ]


def test_unbalanced_quotes_are_a_problem_of_their_line_only(load: Load) -> None:
    assert _problems(load({"a.csv": 'u,i\n"1,x\n2,"x\n3, "x\n4,"x"\n'})) == [
        ('"1,x', "unbalanced quotes"),
        ('2,"x', "unbalanced quotes"),
        ('3, "x', "unbalanced quotes"),
        ('4,"x"', None),
    ]


def test_a_quote_within_an_unquoted_field_is_text(load: Load) -> None:
    found = load({"a.csv": 'u,i\n1,12" disc\n2" nail,x\n'})
    assert [problem for _, problem in _problems(found)] == [None, None]
    assert _values(found) == [("1", '12" disc'), ('2" nail', "x")]


def test_very_many_fields_are_a_problem_of_their_line_only(load: Load) -> None:
    wide, quoted = "," * 25_000, '"' + "," * 25_000 + '",1'
    assert _problems(load({"a.csv": f"u,i\n1,2\n{wide}\n{quoted}\n3,4\n"})) == [
        ("1,2", None),
        (wide, "wrong number of fields"),
        (quoted, None),
        ("3,4", None),
    ]


def test_a_line_of_five_megabytes_is_a_row(load: Load) -> None:
    long = "x" * 5_000_000
    assert _values(load({"a.csv": f"u,i\n1,{long}\n2,y\n"})) == [("1", long), ("2", "y")]


def test_no_line_of_random_bytes_is_lost(load: Load) -> None:
    rng = random.Random(11)
    letters = [
        b"a",
        b"1",
        b",",
        b'"',
        b" ",
        b"\\",
        b"\t",
        b"'",
        b"\xff",
        b"\xc3\xa4",
        b"\xe2\x82",
        b"\x0b",
        b"#",
        b"{",
    ]
    lines = [b"".join(rng.choices(letters, k=rng.randint(0, 9))) for _ in range(2000)]
    rows = load({"a.csv": b"u,i\n" + b"\n".join(lines)})
    texts = b"\n".join(lines).decode(errors="replace").split("\n")
    # a record in quotes has several lines
    found = "\n".join(str(row[1]) for row in rows).split("\n")
    assert [text for text in found if text.strip(" ")] == [
        text for text in texts if text.strip(" ")
    ]
    assert all(row[2] for row in rows if "\ufffd" in str(row[1]))


# --------------------------------------------------------------------------------------------------
# encodings


@pytest.mark.parametrize(
    ("encoding", "title"),
    [
        ("utf-16", "naïve €😀"),
        ("utf-16-le", "naïve €😀"),
        ("utf-16-be", "naïve €😀"),
        ("utf-32", "naïve €😀"),
        ("utf-8-sig", "naïve €😀"),
        ("cp1252", "naïve €…"),
        ("latin-1", "naïve ¼\x85"),
        ("shift_jis", "日本語"),
    ],
)
def test_text_is_read_in_its_encoding(load: Load, encoding: str, title: str) -> None:
    rows = load(
        {"a.csv": f'u,i,{title}\r\n1,"{title},",x\r\n2,b,y\r\n'.encode(encoding)}, encoding=encoding
    )
    assert rows == [
        ("a.csv", f'1,"{title},",x', None, "1", f"{title},"),
        ("a.csv", "2,b,y", None, "2", "b"),
    ]


def test_utf_16_follows_its_byte_order_mark(load: Load) -> None:
    text = "\ufeffu,i\n1,é\n"
    rows = load(
        {"a.csv": text.encode("utf-16-be"), "b.csv": text.encode("utf-16-le")}, encoding="utf-16"
    )
    assert [(row[0], row[4]) for row in rows] == [("a.csv", "é"), ("b.csv", "é")]


def test_bytes_outside_the_encoding_are_a_problem_of_their_line_only(load: Load) -> None:
    assert _problems(load({"a.csv": b"u,i\n1,\xff\n2,\xc3\xa4\n3,caf\xe9\n"})) == [
        ("1,\ufffd", "not valid utf-8"),
        ("2,ä", None),
        ("3,caf\ufffd", "not valid utf-8"),
    ]
    assert _problems(load({"a.csv": b"u,i\n1,\x81\n2,\xe4\n"}, encoding="cp1252")) == [
        ("1,\ufffd", "not valid cp1252"),
        ("2,ä", None),
    ]


def test_an_encoding_that_java_does_not_know_is_read_as_python_does(load: Load) -> None:
    assert _values(load({"a.csv": "u,i\n1,é\n".encode("mac-roman")}, encoding="mac-roman")) == [
        ("1", "é")
    ]


def test_compressed_utf_16_is_read_like_other_text(load: Load) -> None:
    rows = load({"a.csv.gz": gzip.compress("u,i\n1,é\n".encode("utf-16"))}, encoding="utf-16")
    assert _values(rows) == [("1", "é")]


# --------------------------------------------------------------------------------------------------
# files and folders


def test_compressed_files_are_read_like_others(load: Load) -> None:
    text = b"u,i\n1,2\n"
    zstd = pa.compress(text, "zstd", asbytes=True)
    rows = load(
        {
            "a.csv.gz": gzip.compress(text),
            "b.csv.bz2": bz2.compress(text),
            "c.csv.zst": zstd,
            "d.csv": text,
        }
    )
    assert rows == [
        (name, "1,2", None, "1", "2") for name in ("a.csv.gz", "b.csv.bz2", "c.csv.zst", "d.csv")
    ]


def test_files_of_a_folder_may_order_their_columns_differently_and_have_more(load: Load) -> None:
    files: dict[str, File] = {
        "2010.csv": "u,i\n1,2\n",
        "2011.csv": 'extra,i,u\n"x,y",4,3\n',
        "deep/er.csv": "i,u\nu,i\n",
        "empty.csv": "",
        "zero.csv": "u,i\n",
    }
    assert load(files) == [
        ("2010.csv", "1,2", None, "1", "2"),
        ("2011.csv", '"x,y",4,3', None, "3", "4"),
        ("deep/er.csv", "u,i", None, "i", "u"),
    ]


def test_a_glob_reads_the_files_it_matches_and_no_hidden_ones(load: Load) -> None:
    names = ["a/1.csv", "a/2.txt", "b/3.csv", "c/.4.csv", ".d/5.csv", "e/f/6.csv"]
    rows = load({name: f"u,i\n1,{name}\n" for name in names}, path="*/[0-9_]*.csv")
    assert [(row[0], row[4]) for row in rows] == [("a/1.csv", "a/1.csv"), ("b/3.csv", "b/3.csv")]


def test_a_path_with_two_dots_leaves_the_names_of_files_whole(load: Load) -> None:
    assert load({"a/x.csv": "u,i\n1,2\n"}, path="a/../a/x.csv") == [
        ("x.csv", "1,2", None, "1", "2")
    ]
    assert load({}, path="a/../a")[0][0] == "x.csv"


def test_any_character_of_a_name_reaches_the_source_file(load: Load) -> None:
    names = [
        "a b.csv",
        "c%20d.csv",
        "e+f.csv",
        "g[1].csv",
        "h{1,2}.csv",
        "i,j.csv",
        "k?*.csv",
        "l\\m.csv",
        "n'\"#é.csv",
    ]
    names += ["day=1/x.csv", "day=2/x.csv", "o%q.csv", "r&s;t@~$.csv", "[x]{y}/z+.csv"]
    rows = load({name: f'u,i\n1,"{name.replace(chr(34), chr(34) * 2)}"\n' for name in names})
    assert [(row[0], row[4]) for row in rows] == [(name, name) for name in sorted(names)]


@pytest.mark.parametrize(
    "name", ["_a.csv", ".a.csv", "-a.csv", "10:30.csv", "a.CSV", "_a.parquet", "10:30.parquet"]
)
def test_a_file_of_any_name_that_is_given_is_read(load: Load, name: str) -> None:
    content: File = pa.table({"u": [1], "i": [2]}) if name.endswith("parquet") else "u,i\n1,2\n"
    assert [(row[0], *row[2:]) for row in load({name: content}, path=name)] == [
        (name, None, "1", "2")
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.csv is not text but a PNG picture"),
        ("a.csv", b"PK\x03\x04\x14\0", "a.csv is not text but a zip archive"),
        ("a.csv", gzip.compress(b"u,i\n1,2\n", mtime=0), "a.csv is not text but gzip"),
        ("a.csv", b"PAR1\x15\x04", "a.csv is not text but Parquet"),
        ("a.csv", "u,i\n1,2\n".encode("utf-16"), "a binary file .it holds zero bytes"),
        ("a.json", b"PK\x03\x04\x14\0", "a.json is not text but a zip archive"),
        ("a.json", b'[{"u": 1},\n{"u": 2}]', "a.json is not JSON lines: expected one object"),
        ("a.csv.gz", b"u,i\n1,2\n", "a.csv.gz cannot be read"),
        ("a.csv.gz", gzip.compress(b"u,i\n1,2\n" * 9, mtime=0)[:-12], "a.csv.gz cannot be read"),
        ("a.parquet", b"u,i\n1,2\n", "a.parquet is not a whole Parquet file"),
        ("a.parquet", b"", "a.parquet is not a whole Parquet file"),
        ("a.csv", b"", "none of the 1 files of .*/in holds a line of data"),
        ("a.csv", b"\n  \r\n\t\n", "none of the 1 files of .*/in holds a line of data"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_a_data_error(
    load: Load, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load({name: content})


def test_a_truncated_parquet_file_is_a_data_error(load: Load, tmp_path: Path) -> None:
    _write(tmp_path / "whole.parquet", pa.table({"u": list(range(1000)), "i": list(range(1000))}))
    with pytest.raises(DataError, match=r"a\.parquet is not a whole Parquet file"):
        load({"a.parquet": (tmp_path / "whole.parquet").read_bytes()[:-100]})


def test_an_empty_folder_is_a_data_error(load: Load, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="holds no files"):
        load({})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.csv": "u,i\n", "b.json": '{"u": 1}\n'},
            "cannot tell the format of a.csv and 1 other files",
        ),
        ({"a.xlsx": "u,i\n"}, "cannot tell the format of a.xlsx"),
    ],
)
def test_a_format_that_names_do_not_tell_is_a_config_error(
    load: Load, files: dict[str, File], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(files)


def test_only_a_header_is_no_row(load: Load) -> None:
    assert load({"a.csv": "u,i\n"}) == []


@pytest.mark.parametrize(
    ("files", "wanted", "message"),
    [
        (
            {"a.csv": "u;i\n1;2\n"},
            WANTED,
            r"/a\.csv: column 'u' is missing; the header, cut at ',', has: u;i; correct columns",
        ),
        (
            {"a.csv": "u,i\n1,2\n", "b.csv": "u,x\n1,2\n"},
            WANTED,
            r"/b\.csv: column 'i' is missing; .* has: u, x",
        ),
        ({"a.csv": "U,i\n1,2\n"}, WANTED, "column 'u' is missing"),
        ({"a.csv": "u,i,u\n1,2,3\n"}, WANTED, "column 'u' appears 2 times; .* has: u, i, u"),
        (
            {"a.csv": "u,i\n1,2\n"},
            {"user_id": 3},
            r"/a\.csv: no column 3; its first line has 2 fields \(separator ','\)",
        ),
        (
            {"a.parquet": pa.table({"u": [1], "x": [2]})},
            WANTED,
            r"/a\.parquet: column 'i' is missing; the file has: u, x",
        ),
        (
            {"a.parquet": pa.table({"u": [1], "i": [[2]]})},
            WANTED,
            r"column 'i' is list<.*>, expected a text, a number",
        ),
    ],
)
def test_a_missing_or_repeated_column_is_a_schema_error_that_says_what_was_found(
    load: Load, files: dict[str, File], wanted: dict[str, str | int], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        load(files, wanted)


def test_a_first_line_that_cannot_be_cut_is_a_data_error(load: Load) -> None:
    with pytest.raises(
        DataError, match=r"a\.csv: its first line cannot be cut at ',': unbalanced quotes: 1,\"x"
    ):
        load({"a.csv": '1,"x\n2,3\n'}, {"user_id": 1}, header=False)


@pytest.mark.parametrize("name", ["a.json", "a.parquet"])
def test_positions_are_for_separated_values_only(load: Load, name: str) -> None:
    with pytest.raises(ConfigError, match=r"columns of .* have names, found a position"):
        load({name: pa.table({"u": [1]}) if name == "a.parquet" else '{"u": 1}\n'}, {"user_id": 1})


# -------------------------------------------------------------------------------------------
# malformed files of Spark's tests


def test_sparks_malformed_row_is_a_problem_of_its_line_only(load: Load, shared_data: Path) -> None:
    text = (shared_data / "csv-malformed" / "malformedRow.csv").read_bytes()
    rows = load({"a.csv": text}, {"user_id": "fruit", "value": "quantity"})
    assert _values(rows)[:3] == [("apple", "3"), ("banana", "4"), ("orange", "5")]
    assert _problems(rows)[3:] == [("malformedrow", "wrong number of fields")]


def test_sparks_malformed_cars_are_problems_that_keep_their_text(
    load: Load, shared_data: Path
) -> None:
    text = (shared_data / "csv-malformed" / "cars-malformed.csv").read_text()
    rows = load({"a.csv": text}, {"user_id": "year", "item_id": "make"}, comment="~")
    assert [row[1] for row in rows] == [line for line in text.splitlines()[2:] if line]
    assert [row[2] for row in rows] == ["wrong number of fields", "wrong number of fields", None]
    with pytest.raises(
        SchemaError, match="column 'year' is missing; the header, cut at ',', has: ~ All the rows"
    ):
        load({}, {"user_id": "year", "item_id": "make"})


def test_sparks_bad_record_keeps_its_bad_date_as_text(load: Load, shared_data: Path) -> None:
    text = (shared_data / "csv-malformed" / "bad_after_good.csv").read_bytes()
    rows = load({"a.csv": text}, {"user_id": 1, "timestamp": 2}, header=False)
    assert _values(rows) == [("good record", "1999-08-01"), ("bad record", "1999-a8-01")]


# --------------------------------------------------------------------------------------------------
# JSON


def test_json_values_are_text_and_missing_keys_null(load: Load) -> None:
    lines = [
        '{"u": "ä😀\\u20ac", "i": 17850}',
        '{"i": 17850.0, "other": [1, {"u": 5}]}',
        ' {"u": 12345678901234567890, "i": null} ',
        '{"u": true, "i": ""}',
        '{"u": 12345678.0, "i": -2e9}',
        "{}",
    ]
    rows = load({"a.jsonl": "\ufeff" + "\r\n".join(lines)})
    assert _values(rows) == [
        ("ä😀€", "17850"),
        (None, "17850.0"),
        ("12345678901234567890", None),
        ("true", ""),
        ("12345678.0", "-2000000000.0"),
        (None, None),
    ]
    assert [(row[1], row[2]) for row in rows] == [(line, None) for line in lines]


def test_a_line_that_is_not_one_json_object_is_a_problem_and_keeps_its_text(load: Load) -> None:
    broken = [
        "null",
        "[1]",
        '"x"',
        "5",
        '{"u":',
        '{"u": 1, "i": 2,}',
        '{"u": 1} x',
        '[{"u": 1}, {"u": 2}]',
    ]
    broken += ['{"u": 1}{"u": 2}', '{"u": 1}, {"u": 2}', "u,i", "}{", "\t", '{"u": 1, "i": {"x": ']
    lines = ['{"u": 1, "i": 2}', *broken]
    assert _problems(load({"a.json": "\n".join(lines)})) == [
        (line, "not a JSON object" if line in broken else None) for line in lines
    ]


def test_json_keys_may_hold_any_character_and_differ_in_case_only(load: Load) -> None:
    keys = ["u", "U", "a.b", "c`d", "e f:g>,h"]
    row = ", ".join(f'"{key}": "{key}"' for key in keys)
    assert _values(
        load({"a.json": f"{{{row}}}\n"}, {f"column{n}": key for n, key in enumerate(keys)})
    ) == [tuple(keys)]


def test_json_bytes_outside_the_encoding_are_a_problem(load: Load) -> None:
    rows = load({"a.json": b'{"u": 1, "i": "\xff"}\n{"u": 2, "i": "\xc3\xa4"}\n'})
    assert [row[2:] for row in rows] == [("not valid utf-8", "1", "\ufffd"), (None, "2", "ä")]


# --------------------------------------------------------------------------------------------------
# Parquet

MOMENT = datetime(2020, 1, 2, 3, 4, 5, 678901)
BEFORE_1970 = datetime(1960, 1, 2, 3, 4, 5, 678901)


def _seconds(moment: datetime) -> float:
    return (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)


def _times(unit: str, zone: str | None = None) -> pa.Table:
    times = pa.array([MOMENT, BEFORE_1970, None], pa.timestamp("us")).cast(
        pa.timestamp(unit), safe=False
    )
    return pa.table({"t": times.cast(pa.timestamp(unit, zone))})


def test_parquet_values_are_text_and_the_row_is_raw_as_json(load: Load) -> None:
    table = pa.table(
        {"u": [17850, None], "i": ["a", "ä,"], "unused": [[1], None], "b": [True, False]}
    )
    assert load({"a.parquet": table}, WANTED | {"value": "b"}) == [
        ("a.parquet", '{"u":17850,"i":"a","b":true}', None, "17850", "a", "true"),
        ("a.parquet", '{"i":"ä,","b":false}', None, None, "ä,", "false"),
    ]


def test_parquet_files_may_have_different_types_orders_and_columns(load: Load) -> None:
    files: dict[str, File] = {
        "a.parquet": pa.table({"u": [1], "i": [2]}),
        "b.parquet": pa.table({"i": ["x"], "u": ["y"]}),
        "c.parquet": pa.table({"z": [0], "i": pa.array([2**64 - 1], pa.uint64()), "u": [1.5]}),
        "d.parquet": pa.table({"i": pa.array(["1.0E7"]).dictionary_encode(), "u": [b"b"]}),
        "e.parquet": pa.table({"u": pa.array([], pa.int64()), "i": pa.array([], pa.int64())}),
    }
    assert _values(load(files)) == [("1", "2"), ("y", "x"), ("1.5", str(2**64 - 1)), ("b", "1.0E7")]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_times_are_moments_in_utc_whatever_their_unit(load: Load, unit: str) -> None:
    files: dict[str, File] = {"a.parquet": _times(unit), "b.parquet": _times(unit, "Europe/Berlin")}
    times = [row[0] for row in _values(load(files, {"timestamp": "t"}))]
    precision = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-6}[unit]
    for plain, zoned in zip(times[:3], times[3:], strict=True):
        assert plain == zoned
    seconds = [int(time.removeprefix(MARK)) / 1e6 for time in times[:2] if time]
    assert seconds == pytest.approx([_seconds(MOMENT), _seconds(BEFORE_1970)], abs=precision)
    assert times[2] is None


def test_times_that_are_no_timestamp_are_texts_that_people_write(load: Load) -> None:
    table = _times("us").append_column("d", pa.array([MOMENT.date(), date(1960, 1, 2), None]))
    assert _values(load({"a.parquet": table}, {"user_id": "t", "item_id": "d"})) == [
        ("2020-01-02 03:04:05.678901", "2020-01-02"),
        ("1960-01-02 03:04:05.678901", "1960-01-02"),
        (None, None),
    ]


def test_parquet_columns_may_hold_any_character_and_differ_in_case_only(load: Load) -> None:
    names = ["u", "U", "a.b", "c`d", "e f,g"]
    table = pa.table({name: [name] for name in names})
    assert _values(
        load({"a.parquet": table}, {f"column{n}": name for n, name in enumerate(names)})
    ) == [tuple(names)]


def test_an_odd_column_that_nobody_asked_for_does_not_matter(load: Load) -> None:
    table = pa.table({"u": [1], "i": [2], "noon": pa.array([MOMENT.time()], pa.time64("us"))})
    assert _values(load({"a.parquet": table})) == [("1", "2")]
    with pytest.raises(
        SchemaError, match=r"a\.parquet: column 'noon' is time64\[us\], expected a text, a number"
    ):
        load({"a.parquet": table}, {"user_id": "noon"})


def test_row_groups_of_many_files_are_read_once_each(load: Load, tmp_path: Path) -> None:
    for number in range(5):
        table = pa.table({"u": list(range(100 * number, 100 * number + 100)), "i": ["x"] * 100})
        path = tmp_path / "in" / f"{number}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path, row_group_size=17)
    rows = load({})
    assert sorted(int(str(row[0])) for row in _values(rows)) == list(range(500))
    assert {str(row[0]): int(str(row[3])) // 100 for row in rows} == {
        f"{n}.parquet": n for n in range(5)
    }


# ----------------------------------------------------------------------------------------------
# damage found while reading


@pytest.mark.parametrize("kind", ["gz", "parquet"])
def test_damage_past_a_files_beginning_is_a_data_error_that_names_the_file(
    run: Callable[..., Any], tmp_path: Path, root: Path, kind: str
) -> None:
    rng = random.Random(3)
    numbers = [str(rng.random()) for _ in range(60_000)]
    if kind == "gz":
        whole = gzip.compress("\n".join(["u,i", *(f"{number},1" for number in numbers)]).encode())
        damaged = whole[: len(whole) - 1000]
    else:
        _write(tmp_path / "whole.parquet", pa.table({"u": numbers, "i": numbers}))
        whole = (tmp_path / "whole.parquet").read_bytes()
        damaged = whole[:100_000] + bytes(200_000) + whole[300_000:]
    _write(tmp_path / "in" / f"a.{kind}", damaged)
    toml = f"""
        [ratings]
        path = "{tmp_path}/in/a.{kind}"
        format = "{"csv" if kind == "gz" else "parquet"}"
        columns = {{ user_id = "u", item_id = "i" }}
        value = "one"
    """
    with pytest.raises(EmberlineError, match=rf"a\.{kind} cannot be read: ") as caught:
        run(toml, only="prepare-ratings")
    assert isinstance(caught.value, DataError)
    assert not list(root.glob("*/manifest.json"))


@pytest.mark.parametrize("flow", ["spark"], indirect=True)
def test_the_clusters_leave_to_ignore_damaged_files_changes_nothing(
    load: Load, spark: SparkSession
) -> None:
    rng = random.Random(3)
    whole = gzip.compress(
        "\n".join(["u,i", *(f"{rng.random()},1" for _ in range(60_000))]).encode()
    )
    for setting in ("spark.sql.files.ignoreCorruptFiles", "spark.sql.files.ignoreMissingFiles"):
        spark.conf.set(setting, "true")
    try:
        with pytest.raises(
            Exception, match=r"DataError: .*a\.csv\.gz cannot be read: it is damaged, cut off"
        ):
            load({"a.csv.gz": whole[:-1000]})
    finally:
        for setting in ("spark.sql.files.ignoreCorruptFiles", "spark.sql.files.ignoreMissingFiles"):
            spark.conf.unset(setting)


def test_a_large_file_is_read_in_pieces_that_hold_every_record_once(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emberline.raw.reading._SMALL_PIECE", 300)
    lines = [f'{n},"a\n{n}"' if n % 3 else f"{n},b" for n in range(500)]
    rows = load({"a.csv": "u,i\n" + "\n".join(lines)})
    assert sorted(str(row[1]) for row in rows) == sorted(lines)


def test_a_hundred_files_may_have_as_many_headers(load: Load) -> None:
    files: dict[str, File] = {f"{n:03}.csv": f"u,i,as of day {n}\n{n},x,y\n" for n in range(100)}
    assert [row[3] for row in load(files)] == [str(n) for n in range(100)]


def test_a_key_that_no_record_has_is_a_schema_error_and_a_rare_one_is_not(load: Load) -> None:
    many = "".join(f'{{"u": {n}, "i": "{"x" * 100}"}}\n' for n in range(2000))
    files: dict[str, File] = {
        "a.json": many,
        "b.json": '{"u": 1, "i": 2}\n' * 9000 + '{"u": 1, "title": "rare"}\n',
    }
    assert load(files, WANTED | {"title": "title"})[-1][-1] == "rare"
    with pytest.raises(
        SchemaError, match="no record has 'Title'; the first ones have: u, i; correct columns"
    ):
        load({}, WANTED | {"title": "Title"})


@pytest.mark.parametrize(
    "encoding",
    ["cp949", "cp932", "cp950", "johab", "tis-620", "gb18030", "euc_jp", "utf-32", "cp037"],
)
def test_text_is_what_pythons_codec_says(load: Load, encoding: str) -> None:
    title = {
        "cp949": "똠방각하",
        "cp932": "①～表",
        "cp950": "許功蓋",
        "johab": "가나",
        "tis-620": "ไทย",
        "cp037": "naïve",
    }
    text = title.get(encoding, "表")
    rows = load({"a.csv": f'u,i\n1,"{text}\\,"\n'.encode(encoding)}, encoding=encoding)
    assert rows == [("a.csv", f'1,"{text}\\,"', None, "1", f"{text}\\,")]


def test_records_of_several_lines_are_ratings_and_the_accounts_add_up(
    run: Callable[..., Any], tmp_path: Path, root: Path
) -> None:
    rows = [f'{n},"item {n % 7}\nin two lines",{n % 5}' for n in range(50)]
    _write(
        tmp_path / "in" / "_log.csv",
        "sep=,\nu,i,v\n" + "\n".join([*rows, '51,"never', "52,x,\0", "53,x,1"]),
    )
    _write(tmp_path / "in" / ".hidden.csv", "no data")
    toml = f"""
        [ratings]
        path = "{tmp_path}/in"
        columns = {{ user_id = "u", item_id = "i", value = "v" }}
    """
    (outcome,) = run(toml, only="prepare-ratings")
    accounts = outcome.metrics["accounts"]
    assert (accounts["read"], accounts["kept"], accounts["rejected"]) == (53, 51, 2)
    assert outcome.metrics["passed_over"] == {f"{tmp_path}/in": "1 hidden (.hidden.csv)"}
