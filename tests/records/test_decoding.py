"""Text of every encoding against Python's own decoding, bytes that decode to nothing, and lines
of any length.
"""

import random
import tracemalloc
from collections.abc import Iterator
from encodings.aliases import aliases

import pytest

from emberline.records import decoding
from emberline.records.decoding import BAD


def _text_encodings() -> list[str]:
    known = []
    for name in sorted(set(aliases.values())):
        try:
            b"".decode(name)
            "\n".encode(name)
        except (LookupError, UnicodeError):
            continue
        known.append(name)
    return known


ENCODINGS = _text_encodings()
# in which line feeds may be half of a character
STATEFUL = [name for name in ENCODINGS if name.startswith("iso2022")]
WIDE = [name for name in ENCODINGS if name.startswith(("utf_16", "utf_32"))]


def _characters(encoding: str) -> list[str]:
    """All characters that an encoding writes and reads back, but those that end lines."""
    single = bytes(range(256)).decode(encoding, "replace")
    if len(single) == 256:
        return sorted(set(single) - {"\r", "\n", "\ufffd", "\0"})
    found = []
    for code in range(1, 0x11000):
        character = chr(code)
        try:
            if character not in "\r\n" and character.encode(encoding).decode(encoding) == character:
                found.append(character)
        except UnicodeError:
            continue
    return found


def _decode(data: bytes, encoding: str, size: int = 997) -> bytes:
    chunks = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(block.data for block in decoding.lines(chunks, encoding))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_character_is_what_pythons_codec_says(encoding: str) -> None:
    characters = _characters(encoding)
    assert len(characters) > 90
    data = "".join(f"{character}x\n" for character in characters).encode(encoding)
    assert _decode(data, encoding).decode("utf-8", "surrogatepass") == data.decode(encoding)


@pytest.mark.parametrize(
    "encoding", [name for name in ENCODINGS if name not in (*STATEFUL, *WIDE, "hz", "utf_7")]
)
def test_bytes_that_do_not_decode_never_join_lines(encoding: str) -> None:
    feed = "\n".encode(encoding)
    rng = random.Random(7)
    letters = [byte for byte in range(256) if byte not in (*feed, 10, 13, 37)]
    lines = [bytes(rng.choices(letters, k=9)) for _ in range(2000)]
    found = _decode(feed.join(lines), encoding).split(b"\n")
    expected = [line.decode(encoding, "replace") for line in lines]
    assert len(found) == len(lines)
    for text, other in zip(found, expected, strict=True):
        assert (BAD in text) is ("\ufffd" in other)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_line_ends_of_all_kinds_may_fall_between_chunks(size: int) -> None:
    data = b"a\r\nbb\rccc\n\r\r\n\nd\r"
    assert _decode(data, "utf-8", size) == data


def test_a_line_over_the_limit_is_shortened_and_the_next_one_whole() -> None:
    data = b"first\n" + b"x" * 50 + b"\r\nlast\n" + b"y" * 50
    for size in (1, 5, 13, 19):
        chunks = (data[at : at + size] for at in range(0, len(data), size))
        blocks = list(decoding.lines(chunks, "utf-8", longest=20))
        assert [block.data[:1] for block in blocks if block.is_long] == [b"x", b"y"]
        assert b"".join(block.data for block in blocks if not block.is_long).split() == [
            b"first",
            b"last",
        ]


def test_memory_does_not_grow_with_the_length_of_a_line() -> None:
    def endless() -> Iterator[bytes]:
        yield b"1,2\n"
        for _ in range(300):
            yield bytes(1 << 20)
        yield b"\n3,4\n"

    tracemalloc.start()
    blocks = [block for block in decoding.lines(endless(), "utf-8") if not block.is_long]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert b"".join(block.data for block in blocks).split() == [b"1,2", b"3,4"]
    assert peak < 80 << 20


def test_an_encoding_of_several_bytes_may_be_cut_within_a_character() -> None:
    text = "日本語,が\n" * 100
    for encoding in ("shift_jis", "utf-16", "utf-32-be", "gb18030", "euc_jp"):
        assert _decode(text.encode(encoding), encoding, 1).decode().removeprefix("\ufeff") == text
