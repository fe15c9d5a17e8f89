"""Ratings explained by who rates and what is rated, alone: b_ui = mean + b_u + b_i, damped.

    b_i = sum_u (r_ui - mean)       / (ratings of i + damping)
    b_u = sum_i (r_ui - mean - b_i) / (ratings of u + damping)

as in LensKit's BiasModel and, with a damping for each side, Koren (2010, section 2.1): `damping` is
how many ratings at the mean are added to each item's and each user's own. Who, or what, has no
rating has a bias of 0.
"""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Biases:
    """The mean of all ratings; columns item and item_bias; columns user and user_bias."""

    mean: float
    items: DataFrame
    users: DataFrame

    @classmethod
    def of(cls, ratings: DataFrame, damping: float) -> "Biases":
        """Those of columns user, item and value."""
        mean = (ratings.agg(F.avg("value")).first() or (None,))[0] or 0.0
        above = F.col("value") - F.lit(mean)
        items = _damped(ratings.withColumn("above", above), "item", damping).persist()
        both = ratings.withColumn("above", above).join(items, "item")
        users = _damped(
            both.withColumn("above", F.col("above") - F.col("item_bias")), "user", damping
        ).persist()
        return cls(mean, items, users)

    def added_to(self, pairs: DataFrame) -> DataFrame:
        """The pairs (columns user, item, ...) with `bias`, a double: what is expected of each."""
        both = pairs.join(self.users, "user", "left").join(self.items, "item", "left")
        known = [F.coalesce(name, F.lit(0.0)) for name in ("user_bias", "item_bias")]
        return both.withColumn("bias", F.lit(self.mean) + known[0] + known[1]).drop(
            "user_bias", "item_bias"
        )

    def residuals(self, ratings: DataFrame) -> DataFrame:
        """Columns user, item and value: what is left of each rating."""
        left = (F.col("value") - F.col("bias")).cast("float").alias("value")
        return self.added_to(ratings).select("user", "item", left)

    def predictions(self, deviations: DataFrame) -> DataFrame:
        """Columns user, item and predicted, of user, item and deviation."""
        predicted = (F.col("bias") + F.col("deviation")).alias("predicted")
        return self.added_to(deviations).select("user", "item", predicted)


def _damped(ratings: DataFrame, side: str, damping: float) -> DataFrame:
    return ratings.groupBy(side).agg(
        (F.sum("above") / (F.count("*") + F.lit(damping))).alias(f"{side}_bias")
    )
