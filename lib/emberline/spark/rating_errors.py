"""How far predicted ratings are from held-out ones, where feedback is explicit, beside means.

Where a model that predicts ratings has no answer, the biases are it, and its rows say how often.
All predictions are clipped to the scale that ratings are on.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from emberline.cf.metrics import measured
from emberline.datasets.cleaned import cleaning_of
from emberline.datasets.manifest import Dataset
from emberline.models import BIASES, GLOBAL_MEAN, ITEM_MEAN, MODELS, USER_MEAN
from emberline.runs.stage_run import StageRun
from emberline.spark import frames
from emberline.spark.biases import Biases
from emberline.spark.models.offers import answering, predictions_of
from emberline.spark.rated import Rated

Row = dict[str, Any]
Scale = tuple[float, float]
_MEANS = {ITEM_MEAN.name: "item", USER_MEAN.name: "user"}


def rows(run: StageRun[Any], tables: dict[str, DataFrame], withheld: DataFrame) -> Iterator[Row]:
    """Two rows for each model; none where no model of the pipeline predicts ratings, or none
    is withheld.
    """
    models = answering(MODELS.values(), "ratings", tables)
    if not models or withheld.isEmpty():
        return
    rated = Rated(run, tables)
    predictions = {model.name: predictions_of(model, withheld, rated) for model in models}
    both = baselines(
        withheld.select("user", "item", "value"),
        tables["ratings"],
        rated.biases(run.settings.damping),
    )
    for model, frame in predictions.items():
        both = both.join(
            frame.select("user", "item", F.col("predicted").alias(model)),
            ["user", "item"],
            "left",
        )
    both = frames.checkpoint(both, run, "predicted")
    low, high = scale(run.inputs["ratings"], tables["ratings"])
    missing = both.agg(*(F.count_if(F.col(model).isNull()) for model in predictions)).first() or ()
    for model, fallback in zip(predictions, missing, strict=True):
        answer = F.coalesce(model, BIASES.name)
        yield from (
            row | {"answered_by_biases": fallback}
            for row in error_rows(model, both, clipped(answer, low, high))
        )
    for model in (BIASES.name, *_MEANS, GLOBAL_MEAN.name):
        yield from error_rows(model, both, clipped(F.col(model), low, high))


def scale(ratings: Dataset, frame: DataFrame) -> Scale:
    """The least and the largest rating there may be: as prepare-ratings was told, or as
    training has them.
    """
    cleaning = cleaning_of(ratings)
    found = frame.agg(F.min("value"), F.max("value")).first()
    assert found is not None
    least, largest = cleaning.get("min_value"), cleaning.get("max_value")
    return found[0] if least is None else least, found[1] if largest is None else largest


def clipped(prediction: Column, low: float, high: float) -> Column:
    """Within the scale."""
    return F.greatest(F.least(prediction, F.lit(high)), F.lit(low))


def baselines(pairs: DataFrame, ratings: DataFrame, biases: Biases) -> DataFrame:
    """The pairs with a column for each baseline, of the training ratings; the global mean where
    a side has none.
    """
    joined = biases.added_to(pairs).withColumnRenamed("bias", BIASES.name)
    for name, side in _MEANS.items():
        joined = joined.join(ratings.groupBy(side).agg(F.avg("value").alias(name)), side, "left")
    filled = {name: F.coalesce(name, F.lit(biases.mean)) for name in _MEANS}
    return joined.withColumns(filled | {GLOBAL_MEAN.name: F.lit(biases.mean)})


def error_rows(model: str, pairs: DataFrame, predicted: Column) -> Iterator[Row]:
    """Root mean squared and mean absolute error of predictions of `value`; the RMSE's standard
    error by the delta method.
    """
    error = predicted - F.col("value")
    moments = [
        F.avg(error**2),
        F.stddev(error**2),
        F.avg(F.abs(error)),
        F.stddev(F.abs(error)),
        F.count("*"),
    ]
    found = pairs.agg(*moments).first()
    assert found is not None
    mean_square, spread_square, mean_absolute, spread_absolute, count = found
    rmse = float(np.sqrt(mean_square))
    nan = float("nan")
    square_error = (
        nan if spread_square is None or rmse == 0 else spread_square / np.sqrt(count) / (2 * rmse)
    )
    yield measured(model, "rmse", rmse, square_error, ratings=count)
    absolute_error = nan if spread_absolute is None else spread_absolute / np.sqrt(count)
    yield measured(model, "mae", mean_absolute, absolute_error, ratings=count)
