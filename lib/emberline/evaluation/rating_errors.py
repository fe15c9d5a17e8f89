"""How far predicted ratings are from held-out ones, where feedback is explicit, beside means.

Where a model that predicts ratings has no answer, the biases are it, and its rows say how often.
All predictions are clipped to the scale that ratings are on.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow.compute as pc

from emberline.cf import biases, rating_errors
from emberline.cf.biases import EXTENT
from emberline.cf.entries import PIECES
from emberline.cf.metrics import Sums, measured
from emberline.cf.pieces import scatter_sparse
from emberline.cf.rating_errors import RATED, Scale
from emberline.cf.scoring import PREDICTED
from emberline.datasets.rows import Task
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.models import BIASES, GLOBAL_MEAN, ITEM_MEAN, USER_MEAN, answering
from emberline.scoring.models.offers import predictions_of
from emberline.scoring.rated import Rated
from emberline.scoring.sources import Withheld
from emberline.scoring.topk import ROWS_PER_BLOCK

Row = dict[str, Any]
BASELINES = {
    BIASES.name: "expected",
    ITEM_MEAN.name: "item",
    USER_MEAN.name: "user",
    GLOBAL_MEAN.name: "all",
}


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
    models = answering("ratings", tables)
    if not models:
        return
    withheld = Withheld(tables["holdout"], cold=False)
    predicted = [predictions_of(model, withheld, rated) for model in models]
    task = partial(biases.answers, biases=rated.biases(damping))
    names = [*(model.name for model in models), *BASELINES]
    pieces = withheld.map(("user", "item", "value"), _scattered(RATED), PIECES)
    for number, rows_ in enumerate(predicted):
        pieces = pieces.union(_pieces(rows_, number))
    for number, by in enumerate(BASELINES.values(), len(models)):
        answers = withheld.map(("user", "item"), partial(task, by=by), PREDICTED)
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


def scale_of(ratings: Source, cleaning: Mapping[str, Any]) -> Scale:
    """The least and the largest rating there may be: as prepare-ratings was told, or as
    training has them.
    """
    least, largest = cleaning.get("min_value"), cleaning.get("max_value")
    if least is None or largest is None:
        found = ratings.map(("value",), biases.extent, EXTENT).table()
        least = pc.min(found["least"]).as_py() if least is None else least
        largest = pc.max(found["largest"]).as_py() if largest is None else largest
    return Scale(least, largest)


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
