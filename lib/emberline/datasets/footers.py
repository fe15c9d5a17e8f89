"""The footers of Parquet files, which carry no checksum of their own: manifests have their sha256.

A footer says where a file's pages are, of which types and how many rows; a bit that flips in it
loses rows or columns in silence. The pages themselves carry checksums, which every reader of ours
verifies; their headers, some 30 bytes each, do not, which is why a small file, where those are more
than a millionth, is compared whole.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from emberline.datasets import storage
from emberline.datasets.damage import damage_explained, sha256_of
from emberline.datasets.manifest import Dataset, Part, remedy
from emberline.datasets.schema import fields_of
from emberline.datasets.storage import Location
from emberline.errors import SchemaError

_MAGIC = b"PAR1"
_AT_ONCE = 64 << 10  # bytes that nearly all footers fit in
_SMALL = 1 << 20  # bytes of a file that is compared whole
_THREADS = 8  # which wait for a remote storage


def read_footer(path: Location) -> bytes:
    """The end of a Parquet file: the footer, its length and the magic number. Raises OSError
    for what does not end so.
    """
    with storage.open_input(path) as file:
        begin = file.read(len(_MAGIC))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _AT_ONCE, 0))
        end: bytes = file.read()
        length = int.from_bytes(end[-8:-4], "little") + 8
        if (begin, end[-4:]) != (_MAGIC, _MAGIC) or length > size:
            raise OSError("it does not begin and end as a Parquet file")
        if length > len(end):
            file.seek(size - length)
            end = file.read()
    return end[-length:]


def checked_footer(dataset: Dataset, part: Part) -> pq.FileMetaData:
    """What a part's footer says. Raises DataError where it, or a small part, is not what was
    written, and SchemaError for columns that are not the manifest's.
    """
    path = storage.inside(dataset.folder, part.path)
    with damage_explained(dataset, path):
        if part.bytes <= _SMALL and sha256_of(path) != part.sha256:
            raise OSError("it was altered")
        footer = read_footer(path)
        if part.footer and hashlib.sha256(footer).hexdigest() != part.footer:
            raise OSError("its footer was altered")
        known = pq.read_metadata(pa.BufferReader(footer))
        found = known.schema.to_arrow_schema()
    _check_columns(dataset, path, found)
    return known


def _check_columns(dataset: Dataset, path: Location, found: pa.Schema) -> None:
    there = [f"{field['name']} {field['type']}" for field in fields_of(found)]
    expected = [f"{field['name']} {field['type']}" for field in dataset.manifest.fields]
    if there != expected:
        raise SchemaError(
            f"{path} has the columns {', '.join(there)}, where the manifest says"
            f" {', '.join(expected)}; {remedy(dataset.manifest)} with --force"
        )


def check_footers(dataset: Dataset) -> None:
    """Raises DataError for the first part of a table that `checked_footer` does not accept; an
    artifact's files have none.
    """
    if dataset.manifest.kind == "artifact":
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(partial(checked_footer, dataset), dataset.manifest.parts):
            pass
