"""The model of what is said of items, or users, as two tables: the landmarks with what is said of
them and what each adds, and how many rows have which token.

Nothing else is needed to predict, or to say why: how features are made is `cf/content`, and what
counts is in the manifest of the landmarks.
"""

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import matrix_of
from emberline.cf.content.columns import Columns
from emberline.cf.content.features import Numbers, Statistics, features_of
from emberline.cf.content.model import Likeness, Model, Pictures
from emberline.cf.content.tasks import SAID
from emberline.cf.content.tokens import BUCKETS
from emberline.datasets.facts import Attributes, Compared
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import unchanged
from emberline.flow.rows import Flow, Source
from emberline.numeric.arrays import Float32, Float64

_TOKENS = pa.schema([("view", pa.string()), ("bucket", pa.int32()), ("rows", pa.int64())])


def landmarks_table(landmarks: pa.RecordBatch, model: Model, side: str) -> pa.Table:
    """Of tasks.KNOWN: a row for each landmark."""
    said = {name: landmarks[name] for name in SAID.names}
    added = pa.array(list(model.coefficients), pa.list_(pa.float32()))
    return pa.table({side: landmarks["id"], **said, "factors": added})


def tokens_table(model: Model) -> pa.Table:
    """A row for each token of a view that any row has."""
    parts = [_TOKENS.empty_table()]
    for view, frequencies in model.likeness.known.frequencies.items():
        buckets = np.flatnonzero(frequencies)
        names = pa.array([view]).take(pa.array(np.zeros(len(buckets), np.int64)))
        columns = [names, buckets.astype(np.int32), frequencies[buckets].astype(np.int64)]
        parts.append(pa.table(columns, schema=_TOKENS))
    return pa.concat_tables(parts)


def columns_of(facts: Attributes) -> Columns:
    """As the manifest of attributes has them."""
    return Columns(tuple(facts.numbers), tuple(facts.categories), tuple(facts.lists))


def told(model: Model) -> tuple[Attributes, Compared]:
    """What the manifest of the landmarks says."""
    likeness = model.likeness
    numbers = likeness.known.numbers
    compared = Compared(
        likeness.known.rows,
        dict(likeness.weights),
        {name: each.middle for name, each in numbers.items()},
        {name: each.deviation for name, each in numbers.items()},
        _plain(model.mean),
        model.pictures.weight if model.pictures else 0.0,
        _plain(model.pictures.mean) if model.pictures else [],
    )
    columns = likeness.known.columns
    named = map(list, (columns.numbers, columns.categories, columns.lists))
    return Attributes(*named), compared


def read(flow: Flow, landmarks: Dataset, tokens: Dataset, side: str) -> Model:
    """The model that the tables of a side hold, a row at least of each."""
    columns = columns_of(landmarks.manifest.facts(Attributes))
    compared = landmarks.manifest.facts(Compared)
    numbers = {
        name: Numbers(middle, compared.deviations[name])
        for name, middle in compared.middles.items()
    }
    known = Statistics(columns, compared.compared_rows, _frequencies(flow.read(tokens)), numbers)
    schema = pa.schema([(side, pa.int32()), *SAID, ("factors", pa.list_(pa.float32()))])
    rows = flow.read(landmarks).map(schema.names, unchanged, schema).table().sort_by(side)
    (batch,) = rows.combine_chunks().to_batches()
    features = features_of(batch, known)
    likeness = Likeness(known, features, compared.kernel_weights)
    mean = np.array(compared.mean_factors, np.float32)
    of_pictures = np.array(compared.picture_mean, np.float32)
    pictures = Pictures(compared.picture_weight, of_pictures) if compared.picture_weight else None
    return Model(likeness, matrix_of(batch["factors"], batch.num_rows), mean, pictures)


def _plain(values: Float32) -> list[float]:
    return [float(value) for value in values]


def _frequencies(tokens: Source) -> dict[str, Float64]:
    table = tokens.map(_TOKENS.names, unchanged, _TOKENS).table()
    found: dict[str, Float64] = {}
    views = table["view"].to_numpy(zero_copy_only=False)
    for view in sorted(set(views)):
        own = table.filter(pa.array(views == view))
        found[view] = np.zeros(BUCKETS)
        found[view][own["bucket"].to_numpy()] = own["rows"].to_numpy()
    return found
