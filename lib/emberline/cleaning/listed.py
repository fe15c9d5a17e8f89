"""Files that a list names: each read from the list's own folder, and decoded."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cleaning import media
from emberline.cleaning.media import KNOWN, Buffer, Decoder, Read
from emberline.datasets import hashes, storage
from emberline.errors import DataError, UnusableError

_NO_PATH = "the list gives no path"


@dataclass(frozen=True)
class Listed:
    """By a list's name the folder that its paths are below; `clean` makes ids and labels of texts;
    `label` is a pattern that finds the label in a file's name, and `test` one that finds something
    in the names of the test set, where that is said.
    """

    folders: Mapping[str, str]
    clean: Callable[[pa.Array], pa.Array]
    label: str | None
    test: str | None

    def cleaned(self, rows: pa.RecordBatch, column: str) -> pa.Array:
        """A column that the list may have."""
        is_there = column in rows.schema.names
        return self.clean(rows[column] if is_there else pa.nulls(rows.num_rows, pa.string()))

    def labels(self, rows: pa.RecordBatch) -> pa.Array:
        """Of each row, cleaned."""
        if "label" in rows.schema.names:
            return self.cleaned(rows, "label")
        paths = rows["sound"].to_pylist()
        pattern = self.label
        found = [label_in(path, pattern) if path and pattern else None for path in paths]
        return self.clean(pa.array(found, pa.string()))

    def splits(self, paths: list[str | None]) -> list[str | None]:
        """The publisher's split of each."""
        if self.test is None:
            return [None] * len(paths)
        found = re.compile(self.test)
        return ["test" if path and found.search(stem_of(path)) else "train" for path in paths]


def stem_of(path: str) -> str:
    """A file's name without folders and extension."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def label_in(path: str, pattern: str) -> str | None:
    """What a pattern's group, or else all of it, finds in a file's name; None for nothing."""
    found = re.search(pattern, stem_of(path))
    return (found[1] if found.re.groups else found[0]) if found else None


def spread(batches: Iterable[pa.RecordBatch], blocks: int) -> Iterator[pa.RecordBatch]:
    """Rows in so many blocks: a list is short, and what it names is long."""
    for batch in batches:
        hashed = hashes.of_columns(0, "spread", batch["raw"])
        block = pa.array((hashed % np.uint64(blocks)).astype(np.int32))
        yield batch.add_column(0, "block", block)


def decode_listed(
    batches: Iterable[pa.RecordBatch], decoder: Decoder, listed: Listed, read: Read
) -> Iterator[pa.RecordBatch]:
    """Columns source_file, problem, item_id, sound (a path), and maybe label and group, of raw
    lists, to media.DECODED, whose source_file is the path.
    """
    for batch in batches:
        paths = batch["sound"].to_pylist()
        lists, problems = batch["source_file"].to_pylist(), batch["problem"].to_pylist()
        sources = [path or name for path, name in zip(paths, lists, strict=True)]
        order = hashes.of_columns(0, "listed", pa.array(sources, pa.string()))
        columns: list[Any] = [
            pa.array(sources, pa.string()),
            np.zeros(len(paths), np.int64),
            listed.clean(batch["item_id"]),
            listed.labels(batch),
            pa.array(listed.splits(paths), pa.string()),
            listed.cleaned(batch, "group"),
            (order >> np.uint64(11)) / 2.0**53,
        ]
        known = pa.record_batch(columns, schema=KNOWN)
        rows = zip(lists, paths, problems, strict=True)
        contents = (_content(listed.folders[name], path, why, read) for name, path, why in rows)
        yield from media.decoded(known, contents, decoder)


def _content(
    folder: str, path: str | None, problem: str | None, read: Read
) -> Buffer | UnusableError:
    """A file's bytes, or the reason why there are none: a path from data does not leave its list's
    folder.
    """
    if problem or not path:
        return UnusableError(problem or _NO_PATH)
    try:
        place = storage.inside(storage.locate(folder), path)
    except DataError:
        return UnusableError("the path leaves the folder of its list")
    try:
        return read(str(place))
    except DataError:
        return UnusableError("no such file, or one that cannot be read")
