"""Factors by the indices of another root."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberline.cf.als import renaming, starts
from emberline.numeric import hashing


def batches(table: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    return iter(table.to_batches(max_chunksize=rows))


def ids_of(names: dict[str, int]) -> pa.Table:
    return pa.table([pa.array(list(names.values()), pa.int32()), pa.array(list(names))], ["i", "s"])


@pytest.mark.parametrize("blocks", [1, 3, 50])
def test_an_id_that_both_roots_have_keeps_its_factors_under_our_index(blocks: int) -> None:
    theirs = {"ä": 0, "": 1, "anna": 2, "only there": 3, "nana": 4}
    ours = {"anna": 7, "nana": 9, "ä": 2, "": 11, "only here": 4}
    factors = {index: [float(index), 0.5] for index in theirs.values() if index != 4}
    table = pa.Table.from_pylist(
        [{"id": index, "factors": vector} for index, vector in factors.items()], starts.EARLIER
    )
    names = [
        row
        for known, kind in ((ours, renaming.OURS), (theirs, renaming.THEIRS))
        for row in renaming.scatter_names(batches(ids_of(known), 2), blocks, kind)
    ]
    pieces = list(starts.scatter_published(batches(table, 3), blocks))
    for block in range(blocks):
        of_block = iter([row for row in names if row["block"][0].as_py() == block])
        pieces += renaming.match_names(of_block, blocks)
    found: dict[int, list[float]] = {}
    for block in range(blocks):
        of_block = iter([piece for piece in pieces if piece["block"][0].as_py() == block])
        for batch in renaming.rename(of_block):
            found |= {row["id"]: row["factors"] for row in batch.to_pylist()}
    assert found == {2: [0.0, 0.5], 11: [1.0, 0.5], 7: [2.0, 0.5]}


@given(st.lists(st.text(max_size=9), max_size=20))
def test_equal_texts_have_equal_hashes_wherever_they_stand(texts: list[str]) -> None:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    together = hashing.of_texts(np.frombuffer(b"".join(encoded), np.uint8), ends)
    for text, found in zip(encoded, together, strict=True):
        own = np.array([0, len(text)], np.int32)
        (alone,) = hashing.of_texts(np.frombuffer(text, np.uint8), own)
        assert alone == found
    assert len(set(together.tolist())) == len(set(texts))
