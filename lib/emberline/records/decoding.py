"""Text of any encoding as blocks of whole lines in UTF-8, whatever the length of a line.

Python's codecs decide what bytes mean. Bytes that mean nothing become BAD, which no valid text
holds, so that the records around them are still cut where they end.
"""

import codecs
from collections.abc import Iterator
from typing import NamedTuple

BAD = b"\xed\xb3\xbf"  # U+DCFF, half of a pair: what its row is known by
REPLACEMENT = "\ufffd".encode()  # as long, and what is shown for it
LONGEST = 16 << 20  # bytes of a line
SHOWN = 1000  # bytes of a longer one
_MARK = "emberline-mark"


class Block(NamedTuple):
    """Whole lines, in UTF-8; or, `is_long`, the beginning of one line longer than LONGEST."""

    data: bytes
    is_long: bool = False


def _mark(error: UnicodeError) -> tuple[str, int]:
    """One BAD for what does not decode; never beyond the end of its line."""
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    feed = wrong.find(b"\n", 1)
    is_wide = error.encoding.lower().startswith(("utf-16", "utf-32", "utf16", "utf32"))
    return "\udcff", error.end if feed < 0 or is_wide else error.start + feed


codecs.register_error(_MARK, _mark)


def is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


def lines(chunks: Iterator[bytes], encoding: str, longest: int = LONGEST) -> Iterator[Block]:
    """Blocks of whole lines. A line feed, a carriage return, or both end a line. A chunk is
    shorter than the `longest` line.
    """
    if is_utf8(encoding):
        for block in _whole_lines(chunks, longest):
            yield Block(_checked(block.data, encoding), block.is_long)
    else:
        yield from _whole_lines(_decoded(chunks, encoding), longest)


def _checked(data: bytes, encoding: str) -> bytes:
    """The same bytes, BAD instead of those that are not valid."""
    try:
        data.decode("ascii" if encoding == "ascii" else "utf-8")
    except UnicodeDecodeError:
        return data.decode("ascii" if encoding == "ascii" else "utf-8", _MARK).encode(
            "utf-8", "surrogatepass"
        )
    return data


def _decoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(_MARK)
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    yield decoder.decode(b"", True).encode("utf-8", "surrogatepass")


def _whole_lines(chunks: Iterator[bytes], longest: int) -> Iterator[Block]:
    carry, skipping = b"", False
    for chunk in chunks:
        if skipping:
            chunk, skipping = _after_line_end(chunk)
        if carry.endswith(b"\r") and not chunk.startswith(b"\n"):
            yield Block(carry)
            carry = b""
        first, last = _first_line_end(chunk), _last_line_end(chunk)
        if len(carry) + (first if first >= 0 else len(chunk)) > longest:
            yield _shown(carry + chunk)
            carry = b""
            chunk, skipping = _after_line_end(chunk)
            last = _last_line_end(chunk)
        if last:
            yield Block(carry + chunk[:last])
            carry = b""
        carry += chunk[last:]
    if carry:
        yield Block(carry)


def _first_line_end(chunk: bytes) -> int:
    feed = chunk.find(b"\n")
    back = chunk.find(b"\r", 0, feed if feed >= 0 else len(chunk))
    return back if back >= 0 else feed


def _last_line_end(chunk: bytes) -> int:
    """Behind the last line end that is surely whole; 0 without one."""
    return max(chunk.rfind(b"\n"), chunk.rfind(b"\r", 0, len(chunk) - 1 if chunk else 0)) + 1


def _after_line_end(chunk: bytes) -> tuple[bytes, bool]:
    """What follows the line, with its end, which is then an empty one; and whether it goes on
    in the next chunk.
    """
    first = _first_line_end(chunk)
    return (chunk[first:], False) if first >= 0 else (b"", True)


def _shown(line: bytes) -> Block:
    return Block(
        line[:SHOWN].decode("utf-8", "replace").replace("\r", " ").replace("\n", " ").encode(),
        is_long=True,
    )
