"""Factors of new items by ridge regressions on what is plain to see of their pictures."""

from functools import partial
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.cf import regression
from emberline.cf.blocks import matrix_of
from emberline.cf.kernels import Landmarks
from emberline.cf.regression import Inputs
from emberline.cf.ridge import Moments, choose
from emberline.models import KERNEL_HISTOGRAM, LINEAR_HISTOGRAM, LINEAR_PIXELS
from emberline.spark.frames import spark_schema

_STRENGTHS = tuple(10.0 ** (half / 2) for half in range(-6, 7))
_LANDMARKS = 250
# an item of so many counts half as much as one of very many: its factors are not sure
_FEW_RATINGS = 20
_REGRESSIONS = {  # the column of features, and whether they pass the kernel
    LINEAR_PIXELS.name: ("pixels", False),
    LINEAR_HISTOGRAM.name: ("colours", False),
    KERNEL_HISTOGRAM.name: ("colours", True),
}


def regressed(features: DataFrame, warm: DataFrame, ratings: DataFrame) -> DataFrame:
    """Columns model, item and factors of the test items, by _REGRESSIONS, in which items of
    many ratings weigh more.
    """
    counted = warm.join(ratings.groupBy("item").count(), "item", "left")
    count = F.coalesce("count", F.lit(1))  # of an item whose factors an earlier run has learnt
    weighted = counted.select(
        "item", "factors", (count / (count + F.lit(_FEW_RATINGS))).alias("weight")
    )
    landmarks = _landmarks(features.join(warm.select("item"), "item", "left_semi"))
    inputs = {
        name: Inputs(column, landmarks if is_kernel else None)
        for name, (column, is_kernel) in _REGRESSIONS.items()
    }
    return regressions(features, weighted, inputs)


def _landmarks(features: DataFrame) -> Landmarks:
    """The colours of some items in training, chosen by hash."""
    drawn = features.where("split = 'train'").orderBy(
        F.xxhash64(F.lit("landmarks"), "item"), "item"
    )
    colours = drawn.select("colours").limit(_LANDMARKS).toArrow()["colours"].combine_chunks()
    return Landmarks.of(matrix_of(colours, len(colours)))


def regressions(features: DataFrame, warm: DataFrame, inputs: dict[str, Inputs]) -> DataFrame:
    """Columns model, item and factors of the test items, by ridge regression on each of the
    inputs.

    warm: item, factors and weight of the others.
    """
    known = features.where("split <> 'test'").join(warm, "item")
    sums = known.mapInArrow(
        partial(regression.sum_moments, inputs=inputs), spark_schema(regression.MOMENTS)
    )
    moments: dict[tuple[str, str], Moments] = {}
    for row in sums.toLocalIterator():
        key, found = (row["model"], row["split"]), _moments(row)
        moments[key] = moments[key].merge(found) if key in moments else found
    known_to = {
        name: (moments[name, "train"], moments.get((name, "val"), moments[name, "train"]))
        for name in inputs
    }
    weights = {name: choose(train, val, _STRENGTHS) for name, (train, val) in known_to.items()}
    task = partial(regression.apply_weights, inputs=inputs, weights=weights)
    return features.where("split = 'test'").mapInArrow(task, spark_schema(regression.PREDICTED))


def _moments(row: Any) -> Moments:
    yy = np.frombuffer(row["yy"])
    xy = np.frombuffer(row["xy"]).reshape(-1, len(yy))
    return Moments(row["count"], np.frombuffer(row["xx"]).reshape(len(xy), len(xy)), xy, yy)
