import builtins
import gzip
import os
import pickle
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.images.containers import (
    NotThisFormatError,
    read_cifar10_binary,
    read_cifar10_pickle,
    read_idx,
    read_label_names,
    read_pickled_label_names,
)

RNG = np.random.default_rng(3)
PICTURES = RNG.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
PLANES = np.stack(
    [np.concatenate([picture[..., colour].ravel() for colour in range(3)]) for picture in PICTURES]
)
LABELS = [6, 9, 0, 3]
BINARY = b"".join(
    bytes([label]) + planes.tobytes() for label, planes in zip(LABELS, PLANES, strict=True)
)


def batch(**changes: Any) -> dict[bytes, Any]:
    names = [b"leptodactylus_pentadactylus_s_000004.png"] * 4
    fields = {
        "batch_label": b"training batch 1 of 5",
        "labels": LABELS,
        "data": PLANES,
        "filenames": names,
    } | changes
    return {name.encode(): value for name, value in fields.items() if value is not None}


def pickled(**changes: Any) -> bytes:
    return pickle.dumps(batch(**changes), protocol=2)


# What Python 2 wrote: strings as SHORT_BINSTRING, memo indices from 1, NumPy's arrays by
# _reconstruct and BUILD.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of"
    b" 5q\x03U\x06labelsq\x04]q\x05(K\x06K\x09K\x00K\x03e"
    b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\n"
    b"q\x08K\x00\x85U\x01b\x87Rq\x09"
    b"(K\x01M\x04\x00M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b"
    b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    b"K\x00tb\x89T"
    + struct.pack("<I", 4 * 3072)
    + PLANES.tobytes()
    + b"tbU\x09filenamesq\x0c]q\x0du."
)


def array_with(
    dtype: bytes = b"U\x02u1K\x00K\x01\x87R", raw: bytes = b"U\x03abc", state: bytes | None = None
) -> bytes:
    """A dictionary whose data is an array of the given pickled parts, as Python 2 would have
    written it.
    """
    start = (
        b"\x80\x02}(U\x06labels](K\x01eU\x04datacnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    )
    return (
        start
        + (state or b"(K\x01K\x01K\x03\x86cnumpy\ndtype\n" + dtype + b"\x89" + raw + b"tb")
        + b"u."
    )


def refusal(content: bytes) -> str:
    with pytest.raises(NotThisFormatError) as caught:
        read_cifar10_pickle(content)
    assert len(caught.value.args) == 1
    return str(caught.value)


# CIFAR-10


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda: read_cifar10_binary(BINARY), id="binary"),
        pytest.param(lambda: read_cifar10_binary(memoryview(BINARY)), id="binary, mapped"),
        pytest.param(lambda: read_cifar10_pickle(memoryview(pickled())), id="pickled, mapped"),
        pytest.param(lambda: read_cifar10_pickle(pickled()), id="pickled by Python 3"),
        pytest.param(
            lambda: read_cifar10_pickle(pickled(data=np.asfortranarray(PLANES))), id="by columns"
        ),
        pytest.param(lambda: read_cifar10_pickle(PYTHON_2), id="pickled by Python 2"),
    ],
)
def test_pictures_are_what_was_written(read: Any) -> None:
    collection = read()
    assert collection.labels.tolist() == LABELS
    np.testing.assert_array_equal(collection.pixels, PICTURES)


@pytest.mark.parametrize("size", [0, 1, 3072, 3074, 4 * 3073 - 1])
def test_a_binary_file_of_an_odd_size_is_refused_before_the_first_record(size: int) -> None:
    with pytest.raises(NotThisFormatError, match=f"multiple of 3,073 bytes, found {size:,}$"):
        read_cifar10_binary(BINARY[:size] + BINARY[: max(0, size - len(BINARY))])


def test_a_label_above_9_is_refused_and_placed() -> None:
    with pytest.raises(NotThisFormatError, match=r"labels 0 to 9, found 10 in record 1$"):
        read_cifar10_binary(BINARY[:3073] + b"\x0a" + BINARY[3074:])
    assert (
        refusal(pickled(labels=[1, 2, -1, 3]))
        == "CIFAR-10: expected labels 0 to 9, found -1 in record 2"
    )


def test_a_batch_that_is_not_whole_is_refused() -> None:
    assert "data (n, 3,072) and n labels, found (4, 3072) and 3 labels" in refusal(
        pickled(labels=LABELS[:3])
    )
    assert "found (4, 3071) and 4 labels" in refusal(pickled(data=PLANES[:, 1:]))
    assert "dictionary with data and labels" in refusal(pickled(labels=None))
    assert "dictionary with data and labels" in refusal(pickle.dumps([1, 2], protocol=2))
    for changes in (
        {"labels": [1, 2, 3, "4"]},
        {"labels": [1, 2, 3, True]},
        {"labels": b"abcd"},
        {"data": [1]},
    ):
        assert "found other types" in refusal(pickled(**changes))


def test_a_damaged_pickle_is_refused() -> None:
    for content in (b"", b"abc", PYTHON_2[:500], PYTHON_2[:-1], BINARY):
        assert "found damage" in refusal(content) or "found the opcode" in refusal(content)


# Hostile pickles


class Hostile:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def test_a_foreign_global_is_named_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = [
        (Hostile(os.system, f"touch {trace}"), f"{os.system.__module__}.system"),
        (Hostile(builtins.eval, f"open({str(trace)!r}, 'w')"), "__builtin__.eval"),
        (Hostile(builtins.open, str(trace), "w"), "open"),
        (Hostile(builtins.getattr, "", "join"), "__builtin__.getattr"),
        (Hostile(np.load, str(trace)), "load"),
    ]
    for hostile, name in calls:
        message = refusal(pickled(batch_label=hostile))
        assert "data only, found the global" in message and message.endswith(name)
    assert not trace.exists()
    pickle.loads(pickled(batch_label=calls[0][0]))  # so that the test is known to notice
    assert trace.exists()


@pytest.mark.parametrize(
    "name",
    ["numpy\nload", "numpy\nndarray.tofile", "numpy.core.multiarray\nfromfile", "_codecs\ndecode"],
)
def test_neighbours_of_the_allowed_globals_are_refused(name: str) -> None:
    assert "found the global " + name.replace("\n", ".") in refusal(
        b"\x80\x02c" + name.encode() + b"\n."
    )


def test_later_protocols_with_their_ways_round_are_refused() -> None:
    assert "found the opcode STACK_GLOBAL" in refusal(
        b"\x80\x04X\x02\0\0\0osX\x06\0\0\0system\x93."
    )
    assert "found the opcode EXT1" in refusal(b"\x80\x02\x82\x01.")
    assert "found the opcode PERSID" in refusal(b"Pname\n.")
    assert "found the opcode INST" in refusal(b"(ios\nsystem\n.")
    assert "found the opcode BYTEARRAY8" in refusal(b"\x80\x05\x96" + struct.pack("<Q", 1) + b"a.")


def test_a_memo_index_that_would_fill_the_memory_is_refused() -> None:
    assert "memo indices in sequence" in refusal(b"\x80\x02}r\xff\xff\xff\x7f.")


@pytest.mark.parametrize("code", [b"O", b"O8", b"V8", b"f4", b"i1", b"u2", b"S1", b"M8"])
def test_arrays_of_other_types_are_refused(code: bytes) -> None:
    dtype = b"U" + bytes([len(code)]) + code + b"K\x00K\x01\x87R"
    assert "found one of another type" in refusal(array_with(dtype))


def test_object_arrays_and_float_arrays_written_by_numpy_are_refused() -> None:
    for data in (np.array([[None] * 3072] * 4), PLANES.astype(np.float32), PLANES.astype(np.int8)):
        assert "found one of another type" in refusal(pickled(data=data))


def test_a_dtype_with_a_crafted_state_still_means_unsigned_bytes() -> None:
    # eight bytes each, flagged as pointers to objects
    crafted = b"U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNK\x08K\x08K\x3ftb"
    assert "found (1, 3) and 1 labels" in refusal(array_with(crafted))


def test_an_array_s_size_must_be_that_of_its_bytes() -> None:
    assert "found damage (ValueError)" in refusal(array_with(raw=b"U\x02ab"))
    assert "found one of another type" in refusal(array_with(raw=b"](K\x01K\x02K\x03e"))
    assert "found damage" in refusal(array_with(state=b"K\x01b"))
    # no BUILD
    assert "found (0, 0) and 1 labels" in refusal(array_with(state=b"U\x04datacnumpy\nndarray\n)R"))


def test_encode_takes_nothing_but_latin1_text() -> None:
    for arguments in (
        b"X\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86",
        b"U\x01aX\x06\x00\x00\x00latin1\x86",
    ):
        assert "found another encoding" in refusal(
            b"\x80\x02c_codecs\nencode\n" + arguments + b"R."
        )


@pytest.mark.parametrize(
    "name",
    [
        "numpy.core.multiarray\n_reconstruct",
        "numpy._core.multiarray\n_reconstruct",
        "numpy\nndarray",
        "numpy\ndtype",
        "_codecs\nencode",
    ],
)
def test_build_leaves_no_mark_on_what_the_globals_stand_for(name: str) -> None:
    # (None, {"__new__": 7}): set attributes
    refusal(b"\x80\x02c" + name.encode() + b"\nN}X\x07\x00\x00\x00__new__K\x07s\x86b.")
    assert len(read_cifar10_pickle(pickled()).labels) == 4


@settings(max_examples=200, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_pickle_raises_nothing_else(places: list[tuple[int, int]]) -> None:
    damaged = bytearray(PYTHON_2)
    for place, value in places:
        damaged[place if place < 270 else -(place - 269)] = value
    try:
        read_cifar10_pickle(bytes(damaged))
    except NotThisFormatError as error:
        assert len(error.args) == 1


# Names


def test_label_names_are_read_from_text() -> None:
    assert read_label_names(b"airplane\nautomobile\r\nbird\n\n") == [
        "airplane",
        "automobile",
        "bird",
    ]
    for content in (b"", b"\n\n", b"\xff\xfe"):
        with pytest.raises(NotThisFormatError, match="label names: expected"):
            read_label_names(content)


def test_label_names_are_read_from_a_pickle() -> None:
    by_python_2 = (
        b"\x80\x02}q\x01(U\x13num_cases_per_batchq\x02M\x10'"
        b"U\x0blabel_namesq\x03]q\x04(U\x08airplaneq\x05U\x04birdq\x06eu."
    )
    by_python_3 = pickle.dumps(
        {b"num_cases_per_batch": 10_000, b"label_names": [b"airplane", b"bird"]}, protocol=2
    )
    assert (
        read_pickled_label_names(by_python_2)
        == read_pickled_label_names(by_python_3)
        == ["airplane", "bird"]
    )
    for names in ([], "airplane", [1], None):
        with pytest.raises(NotThisFormatError, match="list of strings as label_names"):
            read_pickled_label_names(pickle.dumps({b"label_names": names}, protocol=2))
    with pytest.raises(NotThisFormatError, match="dictionary with label_names"):
        read_pickled_label_names(pickled())


# IDX


def idx(*shape: int, data: bytes | None = None, kind: int = 8) -> bytes:
    content = bytes(range(256)) * (int(np.prod(shape)) // 256 + 1)
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape) + (
        content[: int(np.prod(shape))] if data is None else data
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 28, 28), (0, 28, 28)])
def test_idx_files_are_read_gzipped_or_not(shape: tuple[int, ...], pack: Any) -> None:
    for content in (pack(idx(*shape)), memoryview(pack(idx(*shape)))):
        read = read_idx(content)
        assert read.shape == shape and read.dtype == np.uint8
        assert read.ravel().tolist() == [position % 256 for position in range(read.size)]


@pytest.mark.parametrize(("part", "rows"), [("train", 60_000), ("t10k", 10_000)])
def test_fashion_mnist_is_read(shared_data: Path, part: str, rows: int) -> None:
    folder = shared_data / "fashion-mnist"
    zipped = (folder / f"{part}-images-idx3-ubyte.gz").read_bytes()
    images = read_idx(zipped)
    assert images.shape == (rows, 28, 28)
    assert zlib.crc32(images.tobytes()) == zlib.crc32(gzip.decompress(zipped)[16:])
    labels = read_idx((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    assert np.bincount(labels).tolist() == [rows // 10] * 10


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files_with_missing_or_left_over_bytes_are_refused(pack: Any) -> None:
    with pytest.raises(
        NotThisFormatError,
        match=r"expected 6 bytes of data for \(2, 3\), found (5|a file too small)",
    ):
        read_idx(pack(idx(2, 3)[:-1]))
    with pytest.raises(
        NotThisFormatError, match=r"expected 6 bytes of data for \(2, 3\), found more"
    ):
        read_idx(pack(idx(2, 3) + b"\0"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found nothing"),
        (b"\0\0\x08", "found 00 00 08$"),
        (b"PNG file", "found 50 4e 47 20"),
        (idx(2, kind=0x0D), "found 00 00 0d 01"),
        (idx(1, 1, 1, 1), "found 00 00 08 04"),
        (b"\0\0\x08\0", "found 00 00 08 00"),
        (b"\0\0\x08\x03\0\0\0\1", "expected 3 dimensions, found the file's end"),
    ],
)
def test_what_is_not_idx_is_refused(content: bytes, message: str) -> None:
    for packed in (content, gzip.compress(content)):
        with pytest.raises(NotThisFormatError, match=message):
            read_idx(packed)


def test_a_small_file_that_announces_many_pictures_takes_no_memory() -> None:
    """What it says is true: so many zeros do come out of it."""
    content = gzip.compress(
        bytes([0, 0, 8, 3]) + struct.pack(">III", 1024, 256, 256) + bytes(64 << 20)
    )
    assert len(content) < 100_000
    tracemalloc.start()
    with pytest.raises(
        NotThisFormatError,
        match=r"expected 67,108,864 bytes of data for .*, found a file too small",
    ):
        read_idx(content)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_damaged_gzip_file_is_refused() -> None:
    whole = gzip.compress(idx(20, 28, 28))
    wrong_sum = whole[:-8] + b"\0\0\0\0" + whole[-4:]
    for content in (
        whole[:-9],
        whole[:1],
        whole[:15],
        wrong_sum,
        whole + b"garbage",
        b"\x1f\x8b\x08\0",
    ):
        with pytest.raises(NotThisFormatError, match="IDX: expected"):
            read_idx(content)


def test_what_is_not_compressed_is_not_copied() -> None:
    content = idx(50, 28, 28)
    assert np.shares_memory(read_idx(content), np.frombuffer(content, np.uint8))


def test_a_gzip_bomb_is_not_decompressed() -> None:
    zeros = 200 * 2**20
    packer = zlib.compressobj(wbits=31)
    bomb = (
        packer.compress(idx(10))
        + b"".join(packer.compress(bytes(2**20)) for _ in range(zeros >> 20))
        + packer.flush()
    )
    assert _peak_of_refusing(bomb) < 2**20
    claims = gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    assert _peak_of_refusing(claims) < 2**20


def _peak_of_refusing(content: bytes) -> int:
    """Bytes allocated at most, on top of the file."""
    tracemalloc.start()
    try:
        with pytest.raises(NotThisFormatError, match="IDX: expected"):
            read_idx(content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
