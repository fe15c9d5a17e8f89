"""How far predicted ratings are from held-out ones, where feedback is explicit, beside means.

Where a model of the pipeline that predicts ratings has no answer, the biases
are it, and its rows say how often. All predictions are clipped to the scale that ratings are on.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from emberline.cf import scoring
from emberline.cf.metrics import measured
from emberline.datasets.manifest import Dataset
from emberline.runs.stage_run import StageRun
from emberline.sections.cosine import CosineConfig
from emberline.spark import frames
from emberline.spark.biases import Biases
from emberline.spark.cosine import prediction

Row = dict[str, Any]
Scale = tuple[float, float]
_BASELINES = ("biases", "item-mean", "user-mean", "global-mean")


def rows(run: StageRun[Any], tables: dict[str, DataFrame], withheld: DataFrame) -> Iterator[Row]:
    """Two rows for each model; none where no model of the pipeline predicts ratings, or none
    is withheld.
    """
    if not run.config.predicts_ratings or withheld.isEmpty():
        return
    biases_of = functools.cache(lambda damping: Biases.of(tables["ratings"], damping))
    predictions = _predictions(run, tables, withheld, biases_of)
    if not predictions:
        return
    both = baselines(
        withheld.select("user", "item", "value"), tables["ratings"], biases_of(run.settings.damping)
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
        answer = F.coalesce(model, "biases")
        yield from (
            row | {"answered_by_biases": fallback}
            for row in error_rows(model, both, clipped(answer, low, high))
        )
    for model in _BASELINES:
        yield from error_rows(model, both, clipped(F.col(model), low, high))


def scale(ratings: Dataset, frame: DataFrame) -> Scale:
    """The least and the largest rating there may be: as prepare-ratings was told, or as
    training has them.
    """
    config = ratings.manifest.produced_by.config
    found = frame.agg(F.min("value"), F.max("value")).first()
    assert found is not None
    least, largest = config.get("min_value"), config.get("max_value")
    return found[0] if least is None else least, found[1] if largest is None else largest


def clipped(prediction: Column, low: float, high: float) -> Column:
    """Within the scale."""
    return F.greatest(F.least(prediction, F.lit(high)), F.lit(low))


def _predictions(
    run: StageRun[Any],
    tables: dict[str, DataFrame],
    pairs: DataFrame,
    biases_of: Callable[[float], Biases],
) -> dict[str, DataFrame]:
    """What each model of the pipeline that predicts ratings says of the pairs: columns user,
    item and predicted.
    """
    found = {}
    if "user_rating_factors" in tables:
        found["als"] = predict(pairs, tables["user_rating_factors"], tables["item_rating_factors"])
    neighbors = [name for name in ("item_neighbors", "user_neighbors") if name in tables]
    if neighbors:
        config = CosineConfig.model_validate(run.inputs[neighbors[0]].manifest.produced_by.config)
        biases = biases_of(config.ratings.damping)
        residuals = frames.checkpoint(
            biases.residuals(tables["ratings"]), run, "residuals"
        ).persist()
    for name in neighbors:
        deviations = prediction.deviations(
            pairs, residuals, "item" if name == "item_neighbors" else "user", config
        )
        found[name.replace("_", "-")] = biases.predictions(deviations)
    return found


def predict(pairs: DataFrame, user_factors: DataFrame, item_factors: DataFrame) -> DataFrame:
    """Columns user, item, value and predicted, the factors' dot product; null where a side has
    no factors.
    """
    known = pairs.select("user", "item", "value")
    joined = known.join(user_factors.withColumnRenamed("factors", "user_factors"), "user")
    joined = joined.join(item_factors.withColumnRenamed("factors", "item_factors"), "item")
    ordered = joined.select("user", "item", "user_factors", "item_factors")
    products = ordered.mapInArrow(scoring.dot_products, "user int, item int, predicted float")
    return known.join(products, ["user", "item"], "left")


def baselines(pairs: DataFrame, ratings: DataFrame, biases: Biases) -> DataFrame:
    """The pairs with a column for each baseline, of the training ratings; the global mean where
    a side has none.
    """
    joined = biases.added_to(pairs).withColumnRenamed("bias", "biases")
    for side in ("item", "user"):
        means = ratings.groupBy(side).agg(F.avg("value").alias(f"{side}-mean"))
        joined = joined.join(means, side, "left")
    filled = {
        f"{side}-mean": F.coalesce(f"{side}-mean", F.lit(biases.mean)) for side in ("item", "user")
    }
    return joined.withColumns(filled | {"global-mean": F.lit(biases.mean)})


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
