"""How often pictures of a class are taken for which, part by part."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.entries import places_in
from emberline.cf.sums import encoded
from emberline.numeric.arrays import Bool, Float64, Int32

TRUE, PREDICTED = -1, 0
ITEMS_PER_BLOCK = 1 << 16
LABELLED = pa.schema(
    [
        ("block", pa.int32()),
        ("model", pa.int32()),  # TRUE, or from PREDICTED on
        ("item", pa.int32()),
        ("label", pa.int32()),
        ("top", pa.list_(pa.int32())),  # its most probable classes, of what a model says
    ]
)


def true_labels(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns item, split and label to LABELLED, of test pictures that have a label."""
    for batch in batches:
        tested = batch.filter(
            pc.and_(pc.equal(batch.column(1), "test"), batch.column(2).is_valid())
        )
        nothing = pa.nulls(tested.num_rows, pa.list_(pa.int32()))
        yield _labelled(tested.column(0), TRUE, tested.column(2), nothing)


def predicted_labels(batches: Iterator[pa.RecordBatch], model: int) -> Iterator[pa.RecordBatch]:
    """Columns item, predicted and top to LABELLED."""
    for batch in batches:
        items, labels, top = batch.columns
        yield _labelled(items, model, labels, top)


def _labelled(items: pa.Array, model: int, labels: pa.Array, top: pa.Array) -> pa.RecordBatch:
    blocks = items.to_numpy() // ITEMS_PER_BLOCK
    models = np.full(len(items), model, np.int32)
    return pa.record_batch([blocks, models, items, labels, top], schema=LABELLED)


def count(batches: Iterator[pa.RecordBatch], classes: int) -> Iterator[pa.RecordBatch]:
    """LABELLED, all of an item, to SUMS: block n is of model n its confusion matrix (true class,
    predicted class), flat, and how often the true class is among the most probable ones.
    """
    table = pa.Table.from_batches(list(batches), LABELLED)
    models = table["model"].to_numpy()
    truth = table.filter(pa.array(models == TRUE)).sort_by("item")
    items, labels = truth["item"].to_numpy(), truth["label"].to_numpy()
    found = {}
    for model in np.unique(models[models >= PREDICTED]).tolist():
        rows = table.filter(pa.array(models == model))
        places = places_in(items, rows["item"].to_numpy())
        rows = rows.filter(pa.array(places >= 0))
        true = labels[places[places >= 0]]
        found[model] = _counts(true, rows["label"].to_numpy(), _is_top(true, rows["top"]), classes)
    if len(items) and found:
        yield encoded(found)


def _is_top(true: Int32, top: pa.ChunkedArray) -> Bool:
    """Whether each one's class (n,) is in its list."""
    lists = top.combine_chunks()
    rows = lists.value_parent_indices().to_numpy()
    is_it = lists.flatten().to_numpy() == true[rows]
    found: Bool = np.bincount(rows, is_it, len(true)) > 0
    return found


def _counts(true: Int32, predicted: Int32, is_top: Bool, classes: int) -> Float64:
    places = true.astype(np.int64) * classes + predicted
    confusion = np.bincount(places, minlength=classes * classes)
    return np.concatenate([confusion, [is_top.sum()]]).astype(np.float64)


def count_trained(batches: Iterator[pa.RecordBatch], classes: int) -> Iterator[pa.RecordBatch]:
    """Columns split and label to SUMS: block 0 is how many pictures of each class are for
    training.
    """
    counts = np.zeros(classes)
    for batch in batches:
        chosen = pc.and_(pc.equal(batch.column(0), "train"), batch.column(1).is_valid())
        counts += np.bincount(batch.column(1).filter(chosen).to_numpy(), minlength=classes)
    yield encoded({0: counts})
