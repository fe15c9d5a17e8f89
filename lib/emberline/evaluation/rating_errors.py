"""How far predicted ratings are from held-out ones, where feedback is explicit, beside means.

Where a model that predicts ratings has no answer, the biases are it, and its rows say how often.
All predictions are clipped to the scale that ratings are on.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import rating_errors
from emberline.cf.entries import PIECES
from emberline.cf.metrics import Sums, measured
from emberline.cf.pieces import scatter_sparse
from emberline.cf.rating_errors import RATED, Scale
from emberline.cf.scoring import PREDICTED
from emberline.datasets.rows import Task
from emberline.evaluation.sums import summed
from emberline.flow.rows import Flow, Rows, Shared, Source
from emberline.models import BIASES, GLOBAL_MEAN, ITEM_MEAN, MODELS, USER_MEAN
from emberline.numeric.arrays import Float64, Int32
from emberline.scoring.biases import Biases
from emberline.scoring.models.offers import answering, predictions_of
from emberline.scoring.rated import Rated
from emberline.scoring.sources import Withheld
from emberline.scoring.topk import ROWS_PER_BLOCK

Row = dict[str, Any]
BASELINES: dict[str, Callable[[Biases, Int32, Int32], Float64]] = {
    BIASES.name: lambda biases, users, items: biases.expected(users, items),
    ITEM_MEAN.name: lambda biases, users, items: biases.of_items.means(items, biases.mean),
    USER_MEAN.name: lambda biases, users, items: biases.of_users.means(users, biases.mean),
    GLOBAL_MEAN.name: lambda biases, users, items: np.full(len(users), biases.mean),
}
_EXTENT = pa.schema([("least", pa.float32()), ("largest", pa.float32())])


def rows(
    flow: Flow,
    tables: Mapping[str, Source],
    rated: Rated,
    damping: float,
    cleaning: Mapping[str, Any],
) -> Iterator[Row]:
    """Two rows for each model and baseline; none where no model of the pipeline predicts ratings,
    or none is withheld. `damping` is of the biases that models are measured beside.
    """
    models = answering(MODELS.values(), "ratings", tables)
    if not models:
        return
    withheld = Withheld(tables["holdout"], cold=False)
    predicted = [predictions_of(model, withheld, rated) for model in models]
    task = partial(baselines, biases=rated.biases(damping))
    names = [*(model.name for model in models), *BASELINES]
    pieces = withheld.map(("user", "item", "value"), _scattered(RATED), PIECES)
    for number, rows_ in enumerate(predicted):
        pieces = pieces.union(_pieces(rows_, number))
    for number, name in enumerate(BASELINES, len(models)):
        answers = withheld.map(("user", "item"), partial(task, name=name), PREDICTED)
        pieces = pieces.union(_pieces(answers, number))
    together = pieces.together(flow.parts, order=("block",))
    sum_up = partial(
        rating_errors.sum_errors,
        models=len(names),
        fallback=len(models),
        scale=scale_of(tables["ratings"], cleaning),
    )
    for number, vector in summed(together, sum_up).items():
        missing, sums = rating_errors.sums_of(vector)
        more = {"answered_by_biases": missing} if number < len(models) else {}
        yield from (row | more for row in error_rows(names[number], sums))


def _scattered(kind: str) -> Task:
    return partial(scatter_sparse, block_size=ROWS_PER_BLOCK, kind=kind)


def _pieces(predicted: Rows, number: int) -> Rows:
    return predicted.map(_scattered(str(number)), PIECES)


def baselines(
    batches: Iterator[pa.RecordBatch], biases: Shared, name: str
) -> Iterator[pa.RecordBatch]:
    """Columns user and item to PREDICTED, by the baseline of this name; the mean of all where a
    side has no rating.
    """
    for batch in batches:
        users, items = (column.to_numpy() for column in batch.columns)
        answers = BASELINES[name](biases.value, users, items)
        yield pa.record_batch([users, items, answers.astype(np.float32)], schema=PREDICTED)


def scale_of(ratings: Source, cleaning: Mapping[str, Any]) -> Scale:
    """The least and the largest rating there may be: as prepare-ratings was told, or as
    training has them.
    """
    least, largest = cleaning.get("min_value"), cleaning.get("max_value")
    if least is None or largest is None:
        found = ratings.map(("value",), _extent, _EXTENT).table()
        least = pc.min(found["least"]).as_py() if least is None else least
        largest = pc.max(found["largest"]).as_py() if largest is None else largest
    return Scale(least, largest)


def _extent(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows:
            values = batch.column(0)
            yield pa.record_batch([[pc.min(values)], [pc.max(values)]], schema=_EXTENT)


def error_rows(model: str, sums: Sums) -> Iterator[Row]:
    """Root mean squared and mean absolute error, of sums of squared and absolute errors; the RMSE's
    standard error by the delta method.
    """
    square, absolute = sums.mean()
    square_error, absolute_error = sums.standard_error()
    rmse = float(np.sqrt(square))
    error = square_error / (2 * rmse) if rmse else float("nan")
    yield measured(model, "rmse", rmse, error, ratings=sums.count)
    yield measured(model, "mae", absolute, absolute_error, ratings=sums.count)
