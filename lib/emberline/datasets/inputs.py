"""The raw files that a run read: which they were, and of which content, so that new times of the
same bytes run nothing again.

    <root>/_inputs/<stage>.parquet      source, relative path, size, time of change, digest; the
                                        run's id beside the schema

Sizes and times tell most of the time that nothing has changed. Where nothing but times differ, the
content of those files is compared with the digest that was taken while the run was at work: of a
file here its sha256, of an object in S3 its ETag.
"""

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from emberline.datasets import storage
from emberline.datasets.listing import RawFile
from emberline.datasets.remote import RemotePath
from emberline.datasets.storage import Location

FOLDER = "_inputs"
Sources = Sequence[Sequence[RawFile]]  # of each source its files
Called = Callable[[str], str]
_SCHEMA = pa.schema(
    [
        pa.field("source", pa.int32(), nullable=False),
        pa.field("relative", pa.binary(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("modified", pa.int64(), nullable=False),  # as it is in the fingerprint
        # a later time at which the content was the same
        pa.field("seen", pa.int64(), nullable=False),
        pa.field("digest", pa.string()),
    ]
)
_RUN = b"run_id"
_CHUNK = 4 << 20
_TASK = 256  # files
_NAMED = 3


@dataclass(frozen=True)
class _Entry:
    size: int
    modified: int
    seen: int
    digest: str | None


@dataclass(frozen=True)
class Inputs:
    """What a run read: by source and relative path, its entries."""

    run_id: str
    entries: Mapping[tuple[int, str], _Entry]

    def compare(self, sources: Sources, called: Called = str) -> "Comparison":
        """The files as they are now, beside these, in which they are `called` something by their
        relative paths; reads those of which the time alone differs, up to one that changed.
        """
        now = {
            (place, called(file.relative)): file
            for place, files in enumerate(sources)
            for file in files
        }
        new = [name for _, name in now.keys() - self.entries.keys()]
        gone = [name for _, name in self.entries.keys() - now.keys()]
        known = {key: (file, self.entries[key]) for key, file in now.items() if key in self.entries}
        changed = [name for (_, name), (file, was) in known.items() if file.size != was.size]
        touched = {
            key: file
            for key, (file, entry) in known.items()
            if file.modified not in (entry.modified, entry.seen)
        }
        if not (new or gone or changed):
            changed = self._changed(touched)
        if new or gone or changed:
            return Comparison(_told(new, gone, changed), sources, self)
        return Comparison("", self._as_read(sources, called), self._seen(touched))

    def _changed(self, touched: Mapping[tuple[int, str], RawFile]) -> list[str]:
        """The first of the files whose content is not what was read, if any."""
        with Digests(touched.values()) as digests:
            found = zip(touched.items(), digests, strict=True)
            return [
                key[1]
                for (key, _), digest in found
                if digest is None or digest != self.entries[key].digest
            ][:1]

    def _as_read(self, sources: Sources, called: Called) -> list[list[RawFile]]:
        """The same files with the times that they had then."""
        return [
            [replace(f, modified=self.entries[place, called(f.relative)].modified) for f in files]
            for place, files in enumerate(sources)
        ]

    def _seen(self, touched: Mapping[tuple[int, str], RawFile]) -> "Inputs":
        later = {
            key: replace(self.entries[key], seen=file.modified) for key, file in touched.items()
        }
        return replace(self, entries={**self.entries, **later}) if later else self


@dataclass(frozen=True)
class Comparison:
    """What has changed, in words, empty for nothing; the files as a fingerprint has them; what
    is known of them now.
    """

    changes: str
    files: Sources
    known: Inputs


class Digests:
    """Digests of files, taken by a few threads from now on; iterating waits for them, and
    leaving `with` gives up the rest.
    """

    def __init__(self, files: Iterable[RawFile]) -> None:
        self._given_up = threading.Event()
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "digests")
        listed = list(files)
        pieces = (listed[start : start + _TASK] for start in range(0, len(listed), _TASK))
        self._pieces: list[Future[list[str | None]]] = [
            self._pool.submit(self._digests, piece) for piece in pieces
        ]

    def __enter__(self) -> "Digests":
        return self

    def __exit__(self, *error: object) -> None:
        self._given_up.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __iter__(self) -> Iterator[str | None]:
        for piece in self._pieces:
            yield from piece.result()

    def _digests(self, files: list[RawFile]) -> list[str | None]:
        return [None if self._given_up.is_set() else self._digest(file) for file in files]

    def _digest(self, file: RawFile) -> str | None:
        """None for what cannot be read, or is not as it was listed any more, or whose storage
        says nothing of its content.
        """
        with suppress(OSError):
            if file.uri.startswith("/"):
                return self._sha256(file)
            location = storage.locate(file.uri)
            return (
                _etag(location)
                if isinstance(location, RemotePath)
                else self._sha256(replace(file, uri=str(location)))
            )
        return None

    def _sha256(self, file: RawFile) -> str | None:
        digest = hashlib.sha256()
        # pathlib takes as long as reading a picture
        with open(file.uri, "rb", buffering=0) as opened:  # noqa: PTH123
            status = os.fstat(opened.fileno())
            while not self._given_up.is_set():
                chunk = opened.read(_CHUNK)
                if not chunk:
                    is_same = (status.st_size, status.st_mtime_ns) == (file.size, file.modified)
                    return f"sha256:{digest.hexdigest()}" if is_same else None
                digest.update(chunk)
        return None


def _etag(location: RemotePath) -> str | None:
    """S3's name of an object's content."""
    if location.scheme != "s3":
        return None
    with location.open_input() as file:
        etag = file.metadata().get("ETag")
    return None if etag is None else f"etag:{etag.decode()}"


def read(root: Location, stage: str) -> Inputs | None:
    """What the stage's last run read; None where that is not known."""
    try:
        content = _file(root, stage).read_bytes()
        table = pq.read_table(io.BytesIO(content))
        run_id = (table.schema.metadata or {}).get(_RUN, b"").decode()
        rows = table.cast(_SCHEMA.with_metadata(table.schema.metadata)).to_pylist()
    except (OSError, ValueError, pa.ArrowException):
        return None
    return Inputs(
        run_id,
        {(row.pop("source"), os.fsdecode(row.pop("relative"))): _Entry(**row) for row in rows},
    )


def write(root: Location, stage: str, inputs: Inputs) -> None:
    """Replace what is known."""
    keys, entries = list(inputs.entries), list(inputs.entries.values())
    columns: list[list[object]] = [
        [source for source, _ in keys],
        [os.fsencode(relative) for _, relative in keys],
    ]
    columns += [[getattr(entry, name) for entry in entries] for name in _SCHEMA.names[2:]]
    table = pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)],
        schema=_SCHEMA,
    )
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_RUN: inputs.run_id}), buffer, compression="zstd")
    storage.replace_file(_file(root, stage), buffer.getvalue())


def of(
    run_id: str, sources: Sources, digests: Iterable[str | None], called: Called = str
) -> Inputs:
    """What a run has read, `called` something by its relative path."""
    files = [(place, file) for place, files in enumerate(sources) for file in files]
    found = zip(files, digests, strict=True)
    return Inputs(
        run_id,
        {
            (place, called(f.relative)): _Entry(f.size, f.modified, f.modified, digest)
            for (place, f), digest in found
        },
    )


def _file(root: Location, stage: str) -> Location:
    return root / FOLDER / f"{stage}.parquet"


def _told(new: Sequence[str], gone: Sequence[str], changed: Sequence[str]) -> str:
    """Such as `b.csv changed; 2 files are new: c.csv, d.csv`."""
    parts = [f"{_names(changed)} changed"] if changed else []
    for names, what in ((new, "new"), (gone, "gone")):
        if names:
            count = f"{len(names):,} files are" if len(names) > 1 else "1 file is"
            parts.append(f"{count} {what}: {_names(names)}")
    return "; ".join(parts)


def _names(names: Sequence[str]) -> str:
    shown = sorted(names)[:_NAMED]
    return ", ".join(shown) + (
        f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    )
