"""Large files cut anywhere: every cut gives the same records, and quotes are never taken for
what they are not.
"""

import io
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.records import cuts, heads, text
from emberline.records.cuts import Cutter
from emberline.records.dialect import Dialect
from emberline.records.heads import Layout

NASTY = (
    '\ufeffu,i\r\n1,"a\r\nb"\r\n\r\n2,"é\n\n",\n3,x\r4,"y"\n"5","""q"""\n6,"open\n7,12" disc\n"8",'
    ' "a ""\n"" b"\n"","\n"\n"",""\n9,"x"y\n"10","\n,\n"\n,"\n"\n11,"never\n'
)
Rows = list[tuple[str | None, ...]]


def _rows(data: bytes, dialect: Dialect, layout: Layout, edges: list[int]) -> Rows:
    file, wanted, rows = io.BytesIO(data), {"a": 1, "b": 2}, []
    cutter = Cutter(file, len(data), layout.dialect, layout.width)
    places = [cutter.record_after(edge) for edge in edges]
    for start, end in pairwise(places):
        for batch in text.read(file, "a.csv", layout, wanted, (), start, end):
            rows += [tuple(row.values()) for row in batch.to_pylist()]
    return rows


def _layout(data: bytes, dialect: Dialect) -> Layout:
    layout = heads.layout(heads.read_head(io.BytesIO(data), "a.csv", dialect.encoding), dialect)
    assert layout is not None
    return layout


@pytest.mark.parametrize("quoted", [1 << 20, 8, 3])
def test_a_cut_at_any_byte_gives_the_same_rows(
    monkeypatch: pytest.MonkeyPatch, quoted: int
) -> None:
    for module in ("automaton", "cuts"):
        monkeypatch.setattr(f"emberline.records.{module}.LONGEST_QUOTED", quoted)
    monkeypatch.setattr("emberline.records.cuts._AROUND", 4)
    data = NASTY.encode()
    layout = _layout(data, Dialect())
    whole = _rows(data, Dialect(), layout, [0, len(data)])
    assert len(whole) > 12
    for place in range(len(data) + 1):
        assert _rows(data, Dialect(), layout, [0, place, len(data)]) == whole, place


@settings(deadline=None, max_examples=300)
@given(
    st.text(st.sampled_from('ab,"\n\r \\'), max_size=60),
    st.integers(0, 60),
    st.sampled_from(["", "\\"]),
)
def test_random_text_cut_anywhere_gives_the_same_rows(body: str, place: int, escape: str) -> None:
    data, dialect = f"u,i\n{body}".encode(), Dialect(escape=escape)
    layout = _layout(data, dialect)
    whole = _rows(data, dialect, layout, [0, len(data)])
    assert _rows(data, dialect, layout, [0, min(place, len(data)), len(data)]) == whole


def test_a_cut_is_found_from_a_few_bytes_around_it() -> None:
    rng = random.Random(5)
    lines = [f'{n},"a ""b"" {"é" * rng.randint(0, 9)}\nnext"\n' for n in range(300_000)]
    data = "".join(lines).encode()
    file = _Counting(data)
    cutter = Cutter(file, len(data), Dialect(), 2)
    place = cutter.record_after(len(data) // 2)
    assert data[place - 2 : place] == b'"\n' and data[place : place + 1].isdigit()
    assert file.read_bytes < 4 << 20


class _Counting(io.BytesIO):
    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.read_bytes += len(found)
        return found


@pytest.mark.parametrize(
    ("encoding", "separator", "expected"),
    [
        ("utf-8", "¦", True),
        ("cp1252", ",", True),
        ("cp1252", "¦", False),
        ("shift_jis", ",", False),
        ("utf-16", ",", False),
    ],
)
def test_text_is_cut_where_its_bytes_are_those_of_utf_8(
    encoding: str, separator: str, expected: bool
) -> None:
    assert cuts.can_cut(Dialect(encoding=encoding, separator=separator)) is expected
