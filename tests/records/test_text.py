"""Text files read as records: what is a record, what its fields are, and what is said of one
that cannot be cut.
"""

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.errors import SchemaError
from emberline.records import decoding, heads, separated, streams, text
from emberline.records.dialect import Dialect

Row = tuple[str | None, ...]
WANTED: dict[str, str | int] = {"user_id": "u", "item_id": "i"}


def _read(
    content: bytes | str, wanted: dict[str, str | int] = WANTED, size: int = 1 << 20, **written: Any
) -> list[Row]:
    """The rows of a file, read in blocks of `size` bytes: raw, problem and the wanted columns."""
    data = content.encode() if isinstance(content, str) else content
    dialect = Dialect(**written)
    layout = heads.layout(heads.read_head(io.BytesIO(data), "a.csv", dialect.encoding), dialect)
    assert layout is not None
    blocks = decoding.lines(
        streams.blocks(io.BytesIO(data), "a.csv", size=size), layout.dialect.encoding
    )
    batches = separated.batches(blocks, layout, text.positions(layout, wanted, "a.csv"))
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def _problems(rows: list[Row]) -> list[tuple[str | None, str | None]]:
    return [(row[0], row[1]) for row in rows]


fields = st.text(st.sampled_from('aé€😀,;:" \t\n#\\'), max_size=5)


@settings(deadline=None)
@given(st.lists(st.lists(fields, min_size=3, max_size=3), min_size=1), st.integers(1, 40))
def test_what_pythons_csv_module_writes_is_read_as_it_was(rows: list[list[str]], size: int) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(
        [["a", "b", "c"], *rows]
    )
    found = _read(written.getvalue(), {name: name for name in "abc"}, size)
    assert [tuple(value or "" for value in row[2:]) for row in found] == [
        tuple(row) for row in rows if row != ["a", "b", "c"]
    ]
    assert {row[1] for row in found} <= {None}


def test_a_quoted_line_break_is_text_of_its_record() -> None:
    assert _read('u,i\n1,"two\nlines"\n2,x\n') == [
        ('1,"two\nlines"', None, "1", "two\nlines"),
        ("2,x", None, "2", "x"),
    ]


def test_a_quote_that_never_closes_costs_its_own_line_only() -> None:
    assert _problems(_read('u,i\n1,"x\n2,y\n3,z\n')) == [
        ('1,"x', "unbalanced quotes"),
        ("2,y", None),
        ("3,z", None),
    ]


def test_a_record_of_several_lines_with_another_number_of_fields_is_none() -> None:
    assert _problems(_read('u,i\n1,"x\n2,y\n3,12",z\n')) == [
        ('1,"x', "unbalanced quotes"),
        ("2,y", None),
        ('3,12",z', "wrong number of fields"),
    ]


@pytest.mark.parametrize("size", range(1, 30))
def test_blocks_may_end_anywhere(size: int) -> None:
    content = '\ufeffu,i\r\n1,"a\r\nb"\r\n\r\n2,"é\n\r\n3,x\r4,"y"\n5,"'
    assert _read(content, size=size) == _read(content)


def test_a_first_line_that_names_the_separator_is_obeyed_and_no_data() -> None:
    assert _read("sep=;\nu;i\n1;2,3\n") == [("1;2,3", None, "1", "2,3")]


def test_any_number_of_blanks_is_one_separator() -> None:
    assert _read("u  i \n 1\t 2\n3 'x  y' \n", separator="whitespace", quote="'") == [
        (" 1\t 2", None, "1", "2"),
        ("3 'x  y' ", None, "3", "x  y"),
    ]


def test_an_escape_takes_the_meaning_from_quotes_and_separators() -> None:
    rows = _read('u,i\n1,"say \\"hi\\", she"\n2,a\\,b\n3,"c\\\\"\n4,C:\\new\n', escape="\\")
    assert [row[1:] for row in rows] == [
        (None, "1", 'say "hi", she'),
        (None, "2", "a,b"),
        (None, "3", "c\\"),
        (None, "4", "C:\\new"),
    ]


@pytest.mark.parametrize(
    ("title", "read", "problem"),
    [
        ('"Heat, again"', "Heat, again", None),
        (' "Heat, again"', "Heat, again", None),
        ('"Heat ""a, b"""', 'Heat "a, b"', None),
        ("Heat, again", None, "wrong number of fields"),
        ('Heat "a, b"', None, "wrong number of fields"),
        ('"Heat", again', None, "wrong number of fields"),
        (r'"say \"hi\", she"', None, "unbalanced quotes"),
    ],
)
def test_a_title_with_a_comma_is_whole_or_its_row_is_none_and_says_why(
    title: str, read: str | None, problem: str | None
) -> None:
    """It is never cut: not in the last column, and not before another one."""
    last, first = _read(f"u,i\n1,{title}\n2,x\n"), _read(f"i,u\n{title},1\nx,2\n")
    wanted = (problem, None if problem else "1", read)
    assert [row[1:] for row in last] == [wanted, (None, "2", "x")]
    assert [row[1:] for row in first] == [wanted, (None, "2", "x")]


def test_a_blank_before_a_quote_is_no_text() -> None:
    assert [row[3] for row in _read('u, i\n1, "x, y"\n2,  "z" \n')] == ["x, y", "z"]


def test_a_nul_rejects_its_row_only() -> None:
    rows = _read(b"u,i\n1,a\0b\n2,c\n")
    assert _problems(rows) == [("1,a\0b", "holds a NUL character (a zero byte)"), ("2,c", None)]


def test_a_replacement_character_that_is_in_the_text_is_kept() -> None:
    rows = _read("u,i\n1,caf\ufffd\n".encode() + b"2,caf\xe9\n")
    assert _problems(rows) == [("1,caf\ufffd", None), ("2,caf\ufffd", "not valid utf-8")]


def test_a_wrong_separator_says_which_one_would_fit() -> None:
    with pytest.raises(
        SchemaError,
        match=(
            r"column 'u' is missing; the header, cut at ',', has: u;i; .*separator = ';' would fit"
        ),
    ):
        _read("u;i\n1;2\n")


def test_the_head_of_a_file_is_its_first_rows() -> None:
    content = "u,i\n" + "".join(f"{n},x\n" for n in range(100_000))
    layout, batch = text.head(
        io.BytesIO(content.encode()), "a.csv", Dialect(), WANTED, lines=10
    ) or (None, None)
    assert layout is not None and batch is not None
    assert layout.names == ("u", "i")
    assert batch.column("user_id").to_pylist() == [str(n) for n in range(10)]
    assert text.head(io.BytesIO(b"\n \n"), "a.csv", Dialect(), WANTED) is None


def test_what_a_message_shows_of_a_file_is_one_line_without_controls() -> None:
    with pytest.raises(SchemaError) as caught:
        _read('"a\nb\x1b[31m",i\n1,2\n')
    assert r"has: a\nb\x1b[31m, i;" in str(caught.value)


@pytest.mark.parametrize(("quote", "separator"), [("'", ";"), ("«", "¦"), ('"', "||"), ("|", "\t")])
def test_any_characters_may_quote_and_separate(quote: str, separator: str) -> None:
    lines = ["u,i", "1,'a,b'", "'2','c''d'", "3,'e\nf'", "4,g'h", "'5,x"]
    found = _read(
        "\n".join(lines).replace(",", separator).replace("'", quote),
        quote=quote,
        separator=separator,
    )
    assert [row[1:] for row in found] == [
        (None, "1", f"a{separator}b"),
        (None, "2", f"c{quote}d"),
        (None, "3", "e\nf"),
        (None, "4", f"g{quote}h"),
        ("unbalanced quotes", None, None),
    ]


def test_many_quotes_that_never_close_take_no_longer_than_the_text_is_long() -> None:
    lines = [f'{n},"never' for n in range(3000)] + ["x" * 100 for _ in range(3000)]
    found = _read("u,i\n" + "\n".join(lines) + "\n")
    assert [row[1] for row in found] == ["unbalanced quotes"] * 3000 + [
        "wrong number of fields"
    ] * 3000


def test_of_a_line_without_an_end_the_head_reads_no_more_than_shows_it() -> None:
    file = io.BytesIO(b"u,i\n1," + b"x" * (100 << 20))
    layout, batch = text.head(file, "a.csv", Dialect(), WANTED) or (None, None)
    assert layout is not None and batch is not None
    assert len(batch.column("raw")[0].as_py()) == decoding.SHOWN
    assert file.tell() < 40 << 20


def test_a_line_over_the_limit_is_a_row_that_says_so() -> None:
    rows = _read(b"u,i\n1,2\n3," + b"x" * (17 << 20) + b"\n4,5\n", size=4 << 20)
    assert [row[1:] for row in rows] == [
        (None, "1", "2"),
        ("longer than 16 MiB", None, None),
        (None, "4", "5"),
    ]
    assert rows[1][0] == "3," + "x" * (decoding.SHOWN - 2) + "..."
