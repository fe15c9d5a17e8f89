"""Files of the classic collections, cut into pieces that occupy every core."""

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cleaning import collections
from emberline.datasets.listing import RawFile
from emberline.errors import DataError
from emberline.flow.rows import TASKS_PER_CORE, Flow, Rows
from emberline.images import containers
from emberline.images.containers import NotThisFormatError
from emberline.media.files import FILE_COST

CIFAR_BINARY = re.compile(r"(data_batch_\d+|test_batch)\.bin")
CIFAR_PICKLE = re.compile(r"data_batch_\d+|test_batch")
_CIFAR_NAMES = ("batches.meta.txt", "batches.meta")
IDX = re.compile(r"(?P<prefix>.+?)[-.]images[-.]idx3-ubyte(\.gz)?")
_IDX_LABELS = re.compile(r"(?P<prefix>.+?)[-.]labels[-.]idx1-ubyte(\.gz)?")
_SMALL_PIECE = 4 << 20  # bytes of a collection's file that are not worth cutting


def cifar10(files: list[RawFile]) -> Iterator[dict[str, Any]]:
    for file in files:
        name = file.name
        binary = CIFAR_BINARY.fullmatch(name) is not None
        if binary or CIFAR_PICKLE.fullmatch(name):
            kind, split = (
                "cifar10-binary" if binary else "cifar10-pickle",
                "test" if name.startswith("test") else "train",
            )
            yield {
                "file": file,
                "kind": kind,
                "prefix": file.relative.removesuffix(".bin"),
                "split": split,
                "labels": None,
            }


def idx(files: list[RawFile]) -> Iterator[dict[str, Any]]:
    labels = {
        _beside(file, found["prefix"]): file
        for file in files
        if (found := _IDX_LABELS.fullmatch(file.name))
    }
    for file in files:
        if found := IDX.fullmatch(file.name):
            prefix = _beside(file, found["prefix"])
            split = "test" if found["prefix"].startswith(("t10k", "test")) else "train"
            yield {
                "file": file,
                "kind": "idx",
                "prefix": prefix,
                "split": split,
                "labels": labels.get(prefix),
            }


def _beside(file: RawFile, prefix: str) -> str:
    """The prefix with the file's folder before it: collections in different folders may have
    files of the same names.
    """
    return file.relative.removesuffix(file.name) + prefix


def container_rows(flow: Flow, found: list[dict[str, Any]]) -> Rows:
    """The collections' files as CONTAINERS, in pieces that occupy every core."""
    equal = sum(container["file"].size for container in found) / (TASKS_PER_CORE * flow.cores)
    ends = np.cumsum([container["file"].size for container in found])
    rows: list[dict[str, Any]] = []
    costs: list[float] = []
    for container, end in zip(found, ends.tolist(), strict=True):
        file, labels, pieces = container["file"], container["labels"], _pieces(container, equal)
        facts = {name: container[name] for name in ("kind", "prefix", "split")}
        facts |= {
            "source_file": file.relative,
            "path": file.uri,
            "labels": labels and labels.uri,
            "begin": (end - file.size) / max(ends[-1], 1),
            "end": end / max(ends[-1], 1),
            "pieces": pieces,
        }
        rows += [facts | {"piece": piece} for piece in range(pieces)]
        costs += [(file.size + FILE_COST) / pieces] * pieces
    return flow.deal(pa.Table.from_pylist(rows, collections.CONTAINERS), np.array(costs))


def _pieces(container: dict[str, Any], size: float) -> int:
    """How many pieces of about a size in bytes. A pickle has to be read whole for any, a
    gzipped file to be unpacked.
    """
    if container["kind"] == "cifar10-pickle":
        return 1
    file: RawFile = container["file"]
    smallest = _SMALL_PIECE * (4 if file.path.suffix == ".gz" else 1)
    return max(1, math.ceil(file.size / max(size, smallest)))


def label_names(files: list[RawFile]) -> tuple[str, ...]:
    """The names of CIFAR's classes where its file of names is there. Raises DataError for one
    that is damaged.
    """
    readers = dict(
        zip(
            _CIFAR_NAMES,
            (containers.read_label_names, containers.read_pickled_label_names),
            strict=True,
        )
    )
    for file in files:
        if file.name in readers:
            try:
                return tuple(readers[file.name](file.path.read_bytes()))
            except NotThisFormatError as error:
                raise DataError(f"{file.path} does not hold the classes' names: {error}") from None
    return ()
