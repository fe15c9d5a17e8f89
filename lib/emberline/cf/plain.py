"""What is plain to see of items' pictures, beside the factors of those that have any: what tasks
make of it. `split` says which items are for training, for choosing and for testing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import ridge
from emberline.cf.blocks import matrix_of
from emberline.cf.facts import IDS_PER_BLOCK, known_schema
from emberline.cf.kernels import Landmarks
from emberline.cf.ridge import Moments
from emberline.cf.sums import encoded
from emberline.numeric import hashing
from emberline.numeric.arrays import Bool, Float32, Float64

_FLOATS = pa.list_(pa.float32())
SEEN = pa.schema(
    [
        ("split", pa.string()),
        ("pixels", _FLOATS),  # averaged over squares
        # of length 1: brightness and contrast do not count
        ("pixel_direction", _FLOATS),
        ("colour_direction", _FLOATS),
        ("colours", _FLOATS),  # roots of the shares: of length 1, too
    ]
)
KNOWN = known_schema(SEEN)
PREDICTED = pa.schema([("model", pa.string()), ("item", pa.int32()), ("factors", _FLOATS)])
FACTORS = pa.schema([("item", pa.int32()), ("factors", _FLOATS)])
DRAWN = pa.schema([("hash", pa.int64()), ("id", pa.int32()), ("colours", _FLOATS)])
# factors of an item that some others are like, and those others; then what these others get of it
NEAR = pa.schema(
    [("block", pa.int32()), ("id", pa.int32()), ("like", pa.int32()), ("factors", _FLOATS)]
)
LENT = pa.schema(
    [
        ("block", pa.int32()),
        ("item", pa.int32()),
        ("count", pa.int64()),
        ("factors", pa.list_(pa.float64())),
    ]
)
# an item of so many ratings counts half as much as one of very many: its factors are not sure
_FEW_RATINGS = 20
_LANDMARK_SEED = 1
TRAIN, VAL = 0, 1  # what moments are of


@dataclass(frozen=True)
class Inputs:
    """What a regression sees of a row: a column of lists of one length, or, with landmarks, how
    like them that is.
    """

    column: str
    landmarks: Landmarks | None = None

    def of(self, rows: pa.RecordBatch) -> Float32:
        """(rows, d)."""
        plain = matrix_of(rows[self.column], rows.num_rows)
        return plain if self.landmarks is None else self.landmarks.features(plain)


def is_tested(rows: pa.RecordBatch) -> Bool:
    """Whether each row (n,) is of an item that is tested."""
    found: Bool = pc.equal(rows["split"], "test").to_numpy(zero_copy_only=False)
    return found


def with_factors(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Those that were trained on: they have factors, and are not for testing."""
    return rows.filter(pc.and_(rows["factors"].is_valid(), pa.array(~is_tested(rows))))


def tested(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Those that are for testing."""
    return rows.filter(pa.array(is_tested(rows)))


# --------------------------------------------------------------------------------------------------
# regressions


def sum_moments(
    batches: Iterator[pa.RecordBatch], inputs: Mapping[str, Inputs]
) -> Iterator[pa.RecordBatch]:
    """KNOWN to SUMS: block 2 n + TRAIN or VAL is the moments of what the n-th of the inputs sees,
    flat, items of many ratings weighing more.
    """
    found: dict[int, Moments] = {}
    for batch in batches:
        known = with_factors(batch)
        for which, split in ((TRAIN, "train"), (VAL, "val")):
            rows = known.filter(pc.equal(known["split"], split))
            if not rows.num_rows:
                continue
            factors = matrix_of(rows["factors"], rows.num_rows)
            counts = np.maximum(rows["ratings"].to_numpy(), 1)  # an earlier run has learnt them
            for number, seen in enumerate(inputs.values()):
                block, weights = 2 * number + which, counts / (counts + _FEW_RATINGS)
                each = Moments.of(seen.of(rows), factors, weights)
                found[block] = found[block].merge(each) if block in found else each
    if found:
        yield encoded({block: moments.flat() for block, moments in found.items()})


def apply_weights(
    batches: Iterator[pa.RecordBatch], inputs: Mapping[str, Inputs], weights: Mapping[str, Float64]
) -> Iterator[pa.RecordBatch]:
    """KNOWN to PREDICTED, of the tested items by each model's weights, the last ones being the
    constant's.
    """
    for batch in batches:
        rows = tested(batch)
        for model, seen in inputs.items() if rows.num_rows else ():
            predicted = (ridge.with_one(seen.of(rows)) @ weights[model]).astype(np.float32)
            columns = [[model] * rows.num_rows, rows["id"], list(predicted)]
            yield pa.record_batch(columns, schema=PREDICTED)


def draw(batches: Iterator[pa.RecordBatch], count: int) -> Iterator[pa.RecordBatch]:
    """KNOWN to DRAWN: of the items trained on so many, those of the smallest hashes."""
    rows = pa.Table.from_batches([with_factors(batch) for batch in batches], KNOWN)
    rows = rows.filter(pc.equal(rows["split"], "train")).combine_chunks()
    if rows.num_rows:
        ids = rows["id"].combine_chunks()
        bits = hashing.of_ids(ids.to_numpy(), _LANDMARK_SEED).view(np.int64)
        table = pa.table([pa.array(bits), ids, rows["colours"]], schema=DRAWN)
        first = table.sort_by([("hash", "ascending"), ("id", "ascending")]).slice(0, count)
        yield from first.combine_chunks().to_batches()


# --------------------------------------------------------------------------------------------------
# the mean of all, and those of the nearest


def sum_factors(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows with a column of factors, of KNOWN those trained on, to SUMS: block 0 is their number
    and their sum.
    """
    for batch in batches:
        rows = with_factors(batch) if "split" in batch.schema.names else batch
        if rows.num_rows:
            factors = matrix_of(rows["factors"], rows.num_rows)
            yield encoded({0: np.append(len(factors), factors.sum(axis=0, dtype=np.float64))})


def give(
    batches: Iterator[pa.RecordBatch], factors: Float32, model: str
) -> Iterator[pa.RecordBatch]:
    """KNOWN, of which the tested ones count, or a column of items, to PREDICTED: all have the same
    factors.
    """
    for batch in batches:
        items = tested(batch)["id"] if "split" in batch.schema.names else batch.column(0)
        columns = [[model] * len(items), items, [factors] * len(items)]
        yield pa.record_batch(columns, schema=PREDICTED)


def called(batches: Iterator[pa.RecordBatch], model: str) -> Iterator[pa.RecordBatch]:
    """FACTORS to PREDICTED."""
    for batch in batches:
        columns = [[model] * batch.num_rows, *batch.columns]
        yield pa.record_batch(columns, schema=PREDICTED)


def directions(
    batches: Iterator[pa.RecordBatch], column: str, is_of_tested: bool
) -> Iterator[pa.RecordBatch]:
    """KNOWN to FACTORS, which are a column's, of the items that are tested, or of all others."""
    for batch in batches:
        rows = batch.filter(pa.array(is_tested(batch) == is_of_tested))
        yield pa.record_batch([rows["id"], rows[column]], schema=FACTORS)


def likenesses(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns row, column and others, of items that are like others, to NEAR."""
    for batch in batches:
        items = batch["column"].to_numpy()
        blocks = (items // IDS_PER_BLOCK).astype(np.int32)
        nothing = pa.nulls(len(items), _FLOATS)
        rows = [blocks, items.astype(np.int32), batch["row"].cast(pa.int32()), nothing]
        yield pa.record_batch(rows, schema=NEAR)


def lenders(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """KNOWN to NEAR: factors of the items trained on."""
    for batch in batches:
        rows = with_factors(batch)
        blocks = (rows["id"].to_numpy() // IDS_PER_BLOCK).astype(np.int32)
        nobody = pa.nulls(rows.num_rows, pa.int32())
        yield pa.record_batch([blocks, rows["id"], nobody, rows["factors"]], schema=NEAR)


def lend(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """NEAR, all of an item beside it, to LENT, by the items that get something."""
    rows = pa.Table.from_batches(list(batches), NEAR)
    known, likes = (rows.filter(rows[name].is_valid()) for name in ("factors", "like"))
    known = known.sort_by("id").combine_chunks()
    likes = likes.filter(pc.is_in(likes["id"], value_set=known["id"]))
    if not likes.num_rows:
        return
    places = np.searchsorted(known["id"].to_numpy(), likes["id"].to_numpy())
    factors = matrix_of(known["factors"].combine_chunks(), len(known))[places]
    yield _lent(likes["like"].to_numpy(), np.ones(len(places), np.int64), factors)


def average(batches: Iterator[pa.RecordBatch], model: str) -> Iterator[pa.RecordBatch]:
    """LENT, all of an item beside it, to PREDICTED: the mean of what it gets."""
    found = list(batches)
    if found:
        rows = pa.Table.from_batches(found, LENT).combine_chunks()
        sums = np.array(rows["factors"].to_pylist())
        lent = _lent(rows["item"].to_numpy(), rows["count"].to_numpy(), sums)
        means = np.array(lent["factors"].to_pylist()) / lent["count"].to_numpy()[:, None]
        columns = [[model] * len(means), lent["item"], list(means.astype(np.float32))]
        yield pa.record_batch(columns, schema=PREDICTED)


def _lent(items: np.ndarray, counts: np.ndarray, factors: Float64 | Float32) -> pa.RecordBatch:
    """LENT, a row per item, of rows (n,) and their factors (n, rank)."""
    order = np.argsort(items, kind="stable")
    found, begins = np.unique(items[order], return_index=True)
    sums = np.add.reduceat(factors[order].astype(np.float64), begins)
    totals = np.add.reduceat(counts[order], begins)
    blocks = (found // IDS_PER_BLOCK).astype(np.int32)
    return pa.record_batch([blocks, found, totals, list(sums)], schema=LENT)
