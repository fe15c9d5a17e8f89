"""Factors of another root by this root's indices: an id has another index there.

Ids meet by their hash, then indices meet factors by block, so that no machine sees all of either.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.als.starts import EARLIER, published_pieces
from emberline.cf.blocks import portions, rows_of
from emberline.cf.entries import Entries
from emberline.numeric import hashing
from emberline.numeric.arrays import Int32, UInt64

NAMES = pa.schema(
    [
        ("block", pa.int32()),
        ("kind", pa.string()),
        ("indices", pa.binary()),
        ("ids", pa.list_(pa.string())),
    ]
)
OURS, THEIRS, PAIR = "ours", "theirs", "pair"
_PORTION = 1 << 18  # ids that are hashed at a time


def scatter_names(
    batches: Iterator[pa.RecordBatch], num_blocks: int, kind: str
) -> Iterator[pa.RecordBatch]:
    """Columns index and id to NAMES, a row for each block that any id is in."""
    for table in portions(batches, _PORTION):
        indices, ids = table.column(0).to_numpy(), table.column(1).combine_chunks()
        blocks = (_hashes(ids) % np.uint64(num_blocks)).astype(np.int32)
        for block in np.unique(blocks).tolist():
            chosen = np.flatnonzero(blocks == block)
            texts = pa.ListArray.from_arrays([0, len(chosen)], ids.take(pa.array(chosen)))
            row = [[block], [kind], [indices[chosen].tobytes()], texts]
            yield pa.record_batch(row, schema=NAMES)


def _hashes(ids: pa.StringArray) -> UInt64:
    ends = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset : ids.offset + len(ids) + 1]
    content = np.frombuffer(ids.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    return hashing.of_texts(content, ends - ends[0])


def match_names(names: Iterator[pa.RecordBatch], num_blocks: int) -> Iterator[pa.RecordBatch]:
    """All NAMES of one block to PIECES of kind PAIR by the block of their index: theirs, and ours,
    of the ids that both have.
    """
    found = pa.Table.from_batches(names, NAMES)
    (ours, our_ids), (theirs, their_ids) = (_of_kind(found, kind) for kind in (OURS, THEIRS))
    places = pc.index_in(their_ids, our_ids)
    known = places.is_valid().to_numpy(zero_copy_only=False)
    rows, columns = theirs[known], ours[places.drop_null().to_numpy()]
    yield from Entries(rows, columns).pieces(rows % num_blocks, PAIR)


def _of_kind(names: pa.Table, kind: str) -> tuple[Int32, pa.Array]:
    """The indices and the ids of all NAMES of a kind."""
    rows = names.filter(pc.equal(names["kind"], kind))
    indices = [np.frombuffer(content.as_buffer(), np.int32) for content in rows["indices"]]
    ids = pc.list_flatten(rows["ids"]).combine_chunks()
    return np.concatenate([np.empty(0, np.int32), *indices]), ids


def rename(pieces: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """All PIECES of one block, of kinds PAIR and PUBLISHED, to EARLIER by our indices."""
    found = list(rows_of(pieces))
    pairs = Entries.decoded(piece for piece in found if piece["kind"] == PAIR)
    ids, factors = published_pieces(found)
    _, places, kept = np.intersect1d(pairs.rows, ids, assume_unique=True, return_indices=True)
    if len(kept):
        chosen = factors[kept]
        ends = np.arange(0, chosen.size + 1, chosen.shape[1], dtype=np.int32)
        lists = pa.ListArray.from_arrays(ends, pa.array(chosen.ravel()))
        yield pa.record_batch([pa.array(pairs.columns[places]), lists], schema=EARLIER)
