"""How often pictures of a class are taken for which, and how sure a model is, part by part."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import measures
from emberline.cf.entries import places_in
from emberline.cf.measures import Named
from emberline.cf.sums import encoded
from emberline.numeric.arrays import Bool, Float64, Int32

TRUE, PREDICTED = -1, 0
ITEMS_PER_BLOCK = 1 << 16
BINS = 15  # of equal width, that probabilities are put into
METRICS = ("accuracy", "top-5 accuracy")
LABELLED = pa.schema(
    [
        ("block", pa.int32()),
        ("model", pa.int32()),  # TRUE, or from PREDICTED on
        ("item", pa.int32()),
        ("label", pa.int32()),
        ("top", pa.list_(pa.int32())),  # its most probable classes, of what a model says
        ("probability", pa.float32()),  # of the first of them
    ]
)


def true_labels(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns item, split and label to LABELLED, of test pictures that have a label."""
    for batch in batches:
        tested = batch.filter(
            pc.and_(pc.equal(batch.column(1), "test"), batch.column(2).is_valid())
        )
        nothing = [pa.nulls(tested.num_rows, LABELLED.field(name).type) for name in LABELLED.names]
        yield _labelled(tested.column(0), TRUE, tested.column(2), *nothing[-2:])


def predicted_labels(batches: Iterator[pa.RecordBatch], model: int) -> Iterator[pa.RecordBatch]:
    """Columns item, predicted, top and probability to LABELLED."""
    for batch in batches:
        items, *said = batch.columns
        yield _labelled(items, model, *said)


def _labelled(
    items: pa.Array, model: int, labels: pa.Array, top: pa.Array, probability: pa.Array
) -> pa.RecordBatch:
    blocks = items.to_numpy() // ITEMS_PER_BLOCK
    models = np.full(len(items), model, np.int32)
    return pa.record_batch([blocks, models, items, labels, top, probability], schema=LABELLED)


@dataclass(frozen=True)
class Tested:
    """Of pictures (n,) what they are, what a model takes them for, whether the true class is among
    its most probable ones, and how probable the first of these is said to be.
    """

    items: Int32
    true: Int32
    predicted: Int32
    is_top: Bool
    probability: Float64


def count(batches: Iterator[pa.RecordBatch], classes: int) -> Iterator[pa.RecordBatch]:
    """LABELLED, all of an item, to SUMS: block n is of model n what `Counts` has."""
    table = pa.Table.from_batches(list(batches), LABELLED)
    found = {model: _counts(tested, classes) for model, tested in _tested(table)}
    if found:
        yield encoded(found)


def correct(batches: Iterator[pa.RecordBatch], named: Named) -> Iterator[pa.RecordBatch]:
    """LABELLED, all of an item, to measures.measures_schema of items: whether each is taken for
    what it is (METRICS).
    """
    table = pa.Table.from_batches(list(batches), LABELLED)
    for model, tested in _tested(table):
        values = np.column_stack([tested.predicted == tested.true, tested.is_top]) * 1.0
        weights = np.ones(len(values))
        name = named.models[model]
        yield measures.long_rows(named, name, "item", tested.items, values, weights)


def correct_if(
    batches: Iterator[pa.RecordBatch], named: Named, label: int
) -> Iterator[pa.RecordBatch]:
    """LABELLED to measures.measures_schema of items: whether each would be right if all were taken
    for one class.
    """
    for batch in batches:
        truth = batch.filter(pc.equal(batch["model"], TRUE))
        values = (truth["label"].to_numpy() == label)[:, None] * 1.0
        ids, weights = truth["item"].to_numpy(), np.ones(len(values))
        yield measures.long_rows(named, named.models[0], "item", ids, values, weights)


def _tested(table: pa.Table) -> Iterator[tuple[int, Tested]]:
    """Each model's answers of pictures with a true class, by item."""
    models = table["model"].to_numpy()
    truth = table.filter(pa.array(models == TRUE)).sort_by("item")
    items, labels = truth["item"].to_numpy(), truth["label"].to_numpy()
    for model in np.unique(models[models >= PREDICTED]).tolist() if len(items) else ():
        rows = table.filter(pa.array(models == model)).sort_by("item")
        places = places_in(items, rows["item"].to_numpy())
        rows = rows.filter(pa.array(places >= 0))
        true = labels[places[places >= 0]]
        numbers = (rows[name].to_numpy() for name in ("item", "label"))
        own, predicted = numbers
        probability = rows["probability"].to_numpy().astype(np.float64)
        is_top = _is_top(true, rows["top"])
        yield model, Tested(own, true, predicted, is_top, probability)


def _is_top(true: Int32, top: pa.ChunkedArray) -> Bool:
    """Whether each one's class (n,) is in its list."""
    lists = top.combine_chunks()
    rows = lists.value_parent_indices().to_numpy()
    is_it = lists.flatten().to_numpy() == true[rows]
    found: Bool = np.bincount(rows, is_it, len(true)) > 0
    return found


def _counts(tested: Tested, classes: int) -> Float64:
    places = tested.true.astype(np.int64) * classes + tested.predicted
    confusion = np.bincount(places, minlength=classes * classes)
    is_right = tested.predicted == tested.true
    # the first bin has 0, and every one its upper end
    bins = np.clip(np.ceil(tested.probability * BINS).astype(np.int64) - 1, 0, BINS - 1)
    sums = [np.bincount(bins, each, BINS) for each in (None, is_right, tested.probability)]
    return np.concatenate([confusion, [tested.is_top.sum()], *sums]).astype(np.float64)


@dataclass(frozen=True)
class Counts:
    """Of a model its `confusion` (true class, predicted class), how often the true class is among
    its most probable ones, and of BINS of its probabilities (3, BINS) how many pictures are in
    each, how many of these are right, and the sum of their probabilities. None where it gives no
    probabilities.
    """

    confusion: Float64
    top: int | None
    bins: Float64 | None

    @classmethod
    def of(cls, vector: Float64, classes: int) -> Self:
        """Of what `count` makes."""
        confusion, rest = vector[: classes**2], vector[classes**2 :]
        bins = rest[1:].reshape(3, BINS)
        return cls(confusion.reshape(classes, classes), int(rest[0]), bins)

    def calibration_error(self) -> float | None:
        """How far probabilities are from the shares that are right: sum_b n_b / n |right_b / n_b -
        mean probability_b| (expected calibration error, Guo et al. 2017, with 15 bins of equal
        width).
        """
        if self.bins is None:
            return None
        pictures, right, probability = self.bins
        return float(np.abs(right - probability).sum() / pictures.sum())


def count_trained(batches: Iterator[pa.RecordBatch], classes: int) -> Iterator[pa.RecordBatch]:
    """Columns split and label to SUMS: block 0 is how many pictures of each class are for
    training.
    """
    counts = np.zeros(classes)
    for batch in batches:
        chosen = pc.and_(pc.equal(batch.column(0), "train"), batch.column(1).is_valid())
        counts += np.bincount(batch.column(1).filter(chosen).to_numpy(), minlength=classes)
    yield encoded({0: counts})
