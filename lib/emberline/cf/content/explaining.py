"""Reasons by what is said of items, or users, for those places of lists that are by it."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.blocks import matrix_of, rows_of
from emberline.cf.content.fusion import NAME
from emberline.cf.content.model import Model
from emberline.cf.content.reasons import Modality, Shares, modalities_of, shares
from emberline.cf.content.tasks import SAID
from emberline.cf.entries import Entries, places_in
from emberline.cf.explaining import FOUND
from emberline.cf.facts import IDS_PER_BLOCK
from emberline.cf.pieces import PAIRS, assembled
from emberline.cf.reason_kinds import ATTRIBUTE
from emberline.numeric.arrays import Int32
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

_ROWS = 64  # that are explained at a time: each some tens of times, without one of its words
# what is said of an id, or seen in its picture, or another side's factors, with which it is in a
# list
ASKED = pa.schema(
    [
        ("block", pa.int32()),
        ("id", pa.int32()),
        ("other", pa.int32()),
        ("factors", pa.list_(pa.float32())),
        ("seen", pa.list_(pa.float32())),
        *SAID,
    ]
)


def scatter_pairs(batches: Iterator[pa.RecordBatch], block_size: int) -> Iterator[pa.RecordBatch]:
    """Columns other and id to PIECES of kind PAIRS, by blocks of so many others."""
    for batch in batches:
        others, ids = (batch.column(at).to_numpy() for at in range(2))
        yield from Entries(others, ids).pieces(others // block_size, PAIRS)


def beside_factors(pieces: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """PIECES of the others' factors and of kind PAIRS, those of a block after each other, to ASKED
    by blocks of ids.
    """
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        found = list(group)
        pairs = Entries.decoded(piece for piece in found if piece["kind"] == PAIRS)
        factors, _ = assembled(piece for piece in found if piece["kind"] != PAIRS)
        if factors is not None:
            known = pairs.take(np.isin(pairs.rows, factors.ids))
            of_others = factors.dense()[places_in(factors.ids, known.rows)]
            yield _asked(known.columns, {"other": known.rows, "factors": list(of_others)})


def as_said(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns id and those of SAID to ASKED."""
    for batch in batches:
        yield _asked(
            batch.column(0).to_numpy(), dict(zip(SAID.names, batch.columns[1:], strict=True))
        )


def as_seen(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns item and factors, as a network predicts them, to ASKED."""
    for batch in batches:
        yield _asked(batch.column(0).to_numpy(), {"seen": batch.column(1)})


def _asked(ids: Int32, given: dict[str, Any]) -> pa.RecordBatch:
    columns = {"block": ids // IDS_PER_BLOCK, "id": ids} | given
    nothing = (pa.nulls(len(ids), field.type) for field in ASKED)
    return pa.record_batch(
        [columns.get(name, null) for name, null in zip(ASKED.names, nothing, strict=True)],
        schema=ASKED,
    )


def explain(
    batches: Iterator[pa.RecordBatch], model: Shared, is_of_items: bool, top: int
) -> Iterator[pa.RecordBatch]:
    """ASKED, all of an id, to FOUND; ids are of items, and others of users, or the other way
    round. `model` is a `model.Model`.
    """
    table = pa.Table.from_batches(list(batches), ASKED)
    pairs = table.filter(table["other"].is_valid()).sort_by(
        [("id", "ascending"), ("other", "ascending")]
    )
    if not pairs.num_rows:
        return
    wanted = pairs["id"].to_numpy()
    of_ids = table.filter(table["other"].is_null()).sort_by("id")
    of_ids = of_ids.filter(pa.array(np.isin(of_ids["id"].to_numpy(), wanted)))
    said, seen = (of_ids.filter(pc.equal(of_ids["seen"].is_null(), no)) for no in (True, False))
    for batch in said.combine_chunks().to_batches(max_chunksize=_ROWS):
        found = modalities_of(model.value, batch)
        found += _of_pictures(batch["id"].to_numpy(), seen, model.value)
        yield _of_rows(batch["id"].to_numpy(), found, pairs, is_of_items, top)


def _of_pictures(ids: Int32, seen: pa.Table, model: Model) -> list[Modality]:
    """What pictures add to the factors of the items (n,), where they count."""
    if model.pictures is None or not seen.num_rows:
        return []
    places = places_in(seen["id"].to_numpy(), ids)
    predicted = matrix_of(seen["seen"].combine_chunks(), seen.num_rows)[places]
    added = np.where((places >= 0)[:, None], model.pictures.added(predicted), 0)
    return [Modality(NAME, added.astype(np.float64), [], [])]


def _of_rows(
    ids: Int32, found: list[Modality], pairs: pa.Table, is_of_items: bool, top: int
) -> pa.RecordBatch:
    wanted = pairs["id"].to_numpy()
    parts = [Shares.none()]
    for at, id_ in enumerate(ids):
        first, end = np.searchsorted(wanted, [id_, id_ + 1])
        factors = pairs["factors"].slice(first, end - first).combine_chunks()
        others = matrix_of(factors, end - first).astype(np.float64)
        parts.append(shares(found, at, np.arange(first, end), others, top))
    every = Shares.joined(parts)
    others = pairs["other"].to_numpy()[every.pairs]
    both = (others, wanted[every.pairs]) if is_of_items else (wanted[every.pairs], others)
    count = len(every.pairs)
    nobody = pa.nulls(count, pa.int32())
    place = (place_among(every.pairs) + 1).astype(np.int32)
    columns = [*both, place, pa.repeat(ATTRIBUTE, count), nobody, every.modalities, every.words]
    return pa.record_batch([*columns, every.contributions, every.contributions], schema=FOUND)
