"""Records of the classic picture collections' own file formats: CIFAR-10, binary and pickled,
and IDX, the MNIST family's.
"""

import gzip
import io
import math
import pickle
import pickletools
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CLASSES = 10
_PIXELS = 3 * 32 * 32  # bytes of one CIFAR picture: all its red, then green, then blue
_RECORD = 1 + _PIXELS  # bytes: the label comes first

_GZIP = b"\x1f\x8b"
_IDX_HEADER = 16  # bytes, of three dimensions
_UNSIGNED_BYTE = 0x08  # the type code in an IDX header
# pictures are zipped to a third or a tenth; what grows by more than this is made to fill the memory
_ZIP_RATIO = 100
_ZIP_SMALL = 16 << 20  # bytes that may come of any file

# What the pickles of Python 2, and of Python 3 for Python 2, consist of. Left out are shortcuts
# round `find_class` (registered extensions, persistent ids) and all that this data does not need.
_OPCODES = re.compile(
    "PROTO|STOP|MARK|(LONG_)?BIN(PUT|GET)|GLOBAL|REDUCE|BUILD|NONE|NEWTRUE|NEWFALSE"
    "|BININT[12]?|(SHORT_)?BINSTRING|BINUNICODE"
    "|(EMPTY_)?TUPLE|TUPLE[123]|EMPTY_LIST|APPENDS?|EMPTY_DICT|SETITEMS?"
)


Buffer = bytes | memoryview


class NotThisFormatError(Exception):
    """The bytes are not of the format they were read as; the one argument says what was
    expected and what was found.
    """


@dataclass(frozen=True)
class Collection:
    """A file's pictures: their classes (n,), and their pixels, (n, h, w) grey or (n, h, w, 3)
    RGB, a view of the file's bytes.
    """

    labels: NDArray[np.uint8]
    pixels: NDArray[np.uint8]


def read_cifar10_binary(content: Buffer) -> Collection:
    """The pictures of data_batch_*.bin and test_batch.bin, 32 x 32 RGB. Raises
    NotThisFormatError.
    """
    size = len(content)
    if not size or size % _RECORD:
        raise NotThisFormatError(
            f"CIFAR-10 binary: expected a multiple of {_RECORD:,} bytes, found {size:,}"
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    return _collection(rows[:, 0].tolist(), rows[:, 1:])


def _collection(labels: Sequence[int], rows: NDArray[np.uint8]) -> Collection:
    """Of rows (n, 3072) of planes."""
    for position, label in enumerate(labels):
        if not 0 <= label < _CLASSES:
            raise NotThisFormatError(
                f"CIFAR-10: expected labels 0 to {_CLASSES - 1}, found {label} in record"
                f" {position:,}"
            )
    return Collection(np.array(labels, np.uint8), rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def read_cifar10_pickle(content: Buffer) -> Collection:
    """The pictures of data_batch_* and test_batch, the Python version. Raises
    NotThisFormatError.
    """
    batch = _unpickle(content, expected=(b"data", b"labels"))
    data, labels = batch[b"data"], batch[b"labels"]
    if (
        not isinstance(data, _Array)
        or not isinstance(labels, list)
        or any(type(label) is not int for label in labels)
    ):
        raise NotThisFormatError(
            "CIFAR-10 pickle: expected an array as data and whole numbers as labels, found other"
            " types"
        )
    if data.pixels.shape != (len(labels), _PIXELS):
        found = f"{data.pixels.shape} and {len(labels):,} labels"
        raise NotThisFormatError(
            f"CIFAR-10 pickle: expected data (n, {_PIXELS:,}) and n labels, found {found}"
        )
    return _collection(labels, data.pixels)


def read_label_names(content: bytes) -> list[str]:
    """The classes' names in batches.meta.txt, one a line. Raises NotThisFormatError."""
    names = [line.strip() for line in _text(content).splitlines() if line.strip()]
    if not names:
        raise NotThisFormatError("label names: expected one a line, found none")
    return names


def read_pickled_label_names(content: bytes) -> list[str]:
    """The classes' names in batches.meta, the Python version. Raises NotThisFormatError."""
    names = _unpickle(content, expected=(b"label_names",))[b"label_names"]
    if not isinstance(names, list) or not names or any(type(name) is not bytes for name in names):
        raise NotThisFormatError(
            "CIFAR-10 pickle: expected a list of strings as label_names, found something else"
        )
    return [_text(name) for name in names]


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise NotThisFormatError("label names: expected UTF-8 text, found other bytes") from None


def _unpickle(content: Buffer, expected: Sequence[bytes]) -> dict[Any, Any]:
    """The dictionary in a pickle, arrays as `_Array`, that has at least the expected keys."""
    content = bytes(content)
    try:
        _check_opcodes(content)
        found = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except NotThisFormatError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise NotThisFormatError(
            f"CIFAR-10 pickle: expected a pickle, found damage ({type(error).__name__})"
        ) from error
    if not isinstance(found, dict) or any(key not in found for key in expected):
        names = " and ".join(key.decode() for key in expected)
        raise NotThisFormatError(
            f"CIFAR-10 pickle: expected a dictionary with {names}, found something else"
        )
    return found


def _check_opcodes(content: bytes) -> None:
    """Refuses, before any is carried out, opcodes that the data does not need, and memo indices
    that would fill the memory.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if not _OPCODES.fullmatch(opcode.name):
            raise NotThisFormatError(
                f"CIFAR-10 pickle: expected protocol 2, found the opcode {opcode.name}"
            )
        if opcode.name.endswith("BINPUT") and int(argument or 0) > count:
            raise NotThisFormatError(
                f"CIFAR-10 pickle: expected memo indices in sequence, found {argument}"
            )


class _Dtype:
    """Stands for numpy.dtype in a pickle: unsigned bytes or nothing."""

    __slots__ = ()

    def __init__(self, code: object, align: object, copy: object) -> None:
        if code not in ("u1", b"u1"):
            raise NotThisFormatError(
                "CIFAR-10 pickle: expected an array of unsigned bytes, found one of another type"
            )

    def __setstate__(self, state: object) -> None:
        """Byte order, fields and flags mean nothing to single bytes."""


class _Array:
    """Stands for numpy.ndarray in a pickle."""

    def __init__(self) -> None:
        self.pixels = np.empty((0, 0), np.uint8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, columns_first, raw = state
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise NotThisFormatError(
                "CIFAR-10 pickle: expected an array of unsigned bytes, found one of another type"
            )
        self.pixels = np.frombuffer(raw, np.uint8).reshape(
            shape, order="F" if columns_first else "C"
        )


class _Reconstruct:
    """Stands for NumPy's function that starts an array, to which BUILD gives shape and contents."""

    def __new__(cls, subtype: object, shape: object, code: object) -> Any:
        return _Array()

    @staticmethod
    def __setstate__(state: object) -> None:
        """Does nothing for BUILD on the class itself, which would set the class's attributes
        otherwise.
        """


class _Encode:
    """Stands for _codecs.encode, by which Python 3 writes bytes for Python 2."""

    def __new__(cls, text: str, encoding: str) -> Any:
        if not isinstance(text, str) or encoding != "latin1":
            raise NotThisFormatError(
                "CIFAR-10 pickle: expected bytes written as latin1, found another encoding"
            )
        return text.encode("latin1")

    @staticmethod
    def __setstate__(state: object) -> None:
        """Does nothing; see `_Reconstruct`."""


class _Unpickler(pickle.Unpickler):
    """Knows the globals that arrays of bytes need, and hands out stand-ins even for those.

    NumPy's own would obey a crafted state: a dtype whose flags claim that its bytes are pointers to
    objects is memory corruption.
    """

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
                return _Reconstruct
            case "numpy", "ndarray":
                return _Array
            case "numpy", "dtype":
                return _Dtype
            case "_codecs", "encode":
                return _Encode
        raise NotThisFormatError(
            f"CIFAR-10 pickle: expected data only, found the global {module:.60}.{name:.60}"
        )


def read_idx(content: Buffer) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, (n,), (n, h) or (n, h, w), read-only; the file
    may be gzipped.

    Raises NotThisFormatError. Decompresses one byte more than the header announces at most, so a
    gzip bomb stays small; what is not compressed is not copied.
    """
    content = memoryview(content)
    zipped = bytes(content[:2]) == _GZIP
    file = (
        gzip.GzipFile(fileobj=io.BytesIO(content)) if zipped else io.BytesIO(content[:_IDX_HEADER])
    )
    try:
        shape = _idx_shape(file)
        size = math.prod(shape)
        if size > (max(len(content) * _ZIP_RATIO, _ZIP_SMALL) if zipped else len(content)):
            raise NotThisFormatError(
                f"IDX: expected {size:,} bytes of data for {shape}, found a file too small to hold"
                " them"
            )
        data = file.read(size + 1) if zipped else content[file.tell() :]
    except (EOFError, OSError, zlib.error) as error:
        raise NotThisFormatError(
            f"IDX: expected a whole gzip file, found damage ({type(error).__name__})"
        ) from error
    if len(data) != size:
        found = "more" if len(data) > size else len(data)
        raise NotThisFormatError(f"IDX: expected {size:,} bytes of data for {shape}, found {found}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _idx_shape(file: gzip.GzipFile | io.BytesIO) -> tuple[int, ...]:
    """The dimensions, which follow the magic number: 0, 0, type, number of dimensions."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or magic[3] not in (1, 2, 3):
        raise NotThisFormatError(
            f"IDX: expected 00 00 08 and 1 to 3 dimensions, found {magic.hex(' ') or 'nothing'}"
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise NotThisFormatError(f"IDX: expected {magic[3]} dimensions, found the file's end")
    return tuple(np.frombuffer(sizes, ">u4").tolist())
