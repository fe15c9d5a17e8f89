"""Compressed files to their proper end: what breaks off, is altered, or is no such file is an
error that names it.
"""

import bz2
import gzip
import io
import random
from collections.abc import Callable

import pyarrow as pa
import pytest

from emberline.errors import DataError
from emberline.records import streams

TEXT = "".join(f"{random.Random(3).random()},{n}\n" for n in range(30_000)).encode()


def _zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "a.csv.gz": gzip.compress,
    "a.CSV.BZ2": bz2.compress,
    "a.csv.zst": _zstd,
}
each = pytest.mark.parametrize("name", PACKED)


def _read(data: bytes, name: str, size: int = 10_000) -> bytes:
    return b"".join(streams.blocks(io.BytesIO(data), name, size=size))


@each
def test_a_compressed_file_is_read_whole_in_blocks_of_bounded_size(name: str) -> None:
    blocks = list(streams.blocks(io.BytesIO(PACKED[name](TEXT)), name, size=10_000))
    assert b"".join(blocks) == TEXT
    assert max(map(len, blocks)) <= 10_000


@each
def test_parts_that_follow_one_another_are_one_file(name: str) -> None:
    pack = PACKED[name]
    assert _read(pack(b"u,i\n") + pack(b"1,2\n") + pack(b""), name) == b"u,i\n1,2\n"


@each
def test_a_file_that_breaks_off_anywhere_is_an_error_that_names_it(name: str) -> None:
    packed = PACKED[name](TEXT)
    for end in [
        0,
        1,
        5,
        12,
        *range(20, len(packed), len(packed) // 40),
        len(packed) - 8,
        len(packed) - 1,
    ]:
        with pytest.raises(DataError, match=rf"{name} cannot be read"):
            _read(packed[:end], name)


@each
def test_what_follows_a_whole_file_and_is_none_is_an_error(name: str) -> None:
    with pytest.raises(DataError, match=rf"{name} cannot be read"):
        _read(PACKED[name](TEXT) + b"1,2\n", name)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.CSV.BZ2"])
def test_zeros_behind_a_compressed_file_are_padding(name: str) -> None:
    assert _read(PACKED[name](TEXT) + bytes(1000), name) == TEXT


@each
def test_a_flipped_bit_is_an_error_that_names_the_file(name: str) -> None:
    packed = bytearray(PACKED[name](TEXT))
    packed[len(packed) // 2] ^= 4
    try:
        found = _read(bytes(packed), name)
    except DataError as error:
        assert f"{name} cannot be read" in str(error)
    else:
        assert name == "a.csv.zst" and found != TEXT  # zstd as pyarrow writes it has no checksum


def test_a_piece_of_a_file_that_is_shorter_than_it_was_is_an_error() -> None:
    assert b"".join(streams.blocks(io.BytesIO(b"0123456789"), "a.csv", 2, 7, size=3)) == b"23456"
    with pytest.raises(DataError, match="it ends at byte 10, 12 were expected"):
        list(streams.blocks(io.BytesIO(b"0123456789"), "a.csv", 2, 12))


def test_a_gzip_of_one_long_line_is_unpacked_a_block_at_a_time() -> None:
    packed = gzip.compress(bytes(200 << 20), 1)
    assert (
        max(len(block) for block in streams.blocks(io.BytesIO(packed), "a.csv.gz")) <= streams.BLOCK
    )
