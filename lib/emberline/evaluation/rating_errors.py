"""How far predicted ratings are from held-out ones, where feedback is explicit, beside means.

Where a model that predicts ratings has no answer, the biases are it, and its rows say how often.
All predictions are clipped to the scale that ratings are on.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow.compute as pc

from emberline.cf import biases, measures, rating_errors
from emberline.cf.biases import EXTENT
from emberline.cf.entries import PIECES
from emberline.cf.measures import BLOCKS, Named
from emberline.cf.pieces import scatter_sparse
from emberline.cf.rating_errors import RATED, Scale
from emberline.cf.scoring import PREDICTED
from emberline.datasets.rows import Task
from emberline.evaluation.found import Found, user_rows
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.models import BIASES, GLOBAL_MEAN, ITEM_MEAN, USER_MEAN, Model, answering
from emberline.scoring.models.offers import predictions_of
from emberline.scoring.rated import Rated
from emberline.scoring.sources import Withheld
from emberline.scoring.topk import ROWS_PER_BLOCK

METRICS = ("rmse", "mae")  # made from means of squared and of absolute errors
BASELINES = {
    BIASES.name: "expected",
    ITEM_MEAN.name: "item",
    USER_MEAN.name: "user",
    GLOBAL_MEAN.name: "all",
}


def errors(
    report: str,
    flow: Flow,
    tables: Mapping[str, Source],
    rated: Rated,
    damping: float,
    cleaning: Mapping[str, Any],
) -> Found | None:
    """Each user's errors by each model and baseline; None where no model of the pipeline predicts
    ratings, or none is withheld. `damping` is of the biases that models are measured beside.
    """
    models = answering("ratings", tables)
    if not models:
        return None
    names = (*(model.name for model in models), *BASELINES)
    pieces = _answers(models, Withheld(tables["holdout"], cold=False), rated, damping)
    measure = partial(
        rating_errors.measure,
        models=len(names),
        fallback=len(models),
        scale=scale_of(tables["ratings"], cleaning),
    )
    blocks = pieces.together(flow.parts, order=("block",)).map(measure, BLOCKS).kept()
    missing = summed(blocks, measures.sums_only)
    named = Named(report, names, METRICS)
    more = {model.name: int(missing[at][0]) for at, model in enumerate(models) if at in missing}
    return Found(
        told=[named],
        over="ratings",
        users=user_rows(blocks, named),
        more={model: {"answered_by_biases": count} for model, count in more.items()},
        blocks=[blocks],
    )


def _answers(models: list[Model], withheld: Withheld, rated: Rated, damping: float) -> Rows:
    """PIECES of what is withheld, and of what each model and each baseline predicts of it."""
    task = partial(biases.answers, biases=rated.biases(damping))
    pieces = withheld.map(("user", "item", "value"), _scattered(RATED), PIECES)
    for number, model in enumerate(models):
        pieces = pieces.union(_pieces(predictions_of(model, withheld, rated), number))
    for number, by in enumerate(BASELINES.values(), len(models)):
        answers = withheld.map(("user", "item"), partial(task, by=by), PREDICTED)
        pieces = pieces.union(_pieces(answers, number))
    return pieces


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
