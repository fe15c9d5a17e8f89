"""Which ratings are withheld from training, decided by hashes of outside ids: the same rows
whenever they are recomputed.

Random draws are unsafe on data that Spark may recompute: rows would move between training and
holdout.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from emberline.sections.holdout import HoldoutConfig

_BUCKETS = 1_000_000


def mark_holdout(ratings: DataFrame, holdout: HoldoutConfig, seed: int) -> DataFrame:
    """Add the booleans `held` and `cold` (the item is withheld whole) to rows of user_id, item_id,
    timestamp, ...

    A user always keeps at least one rating where `by` is fraction or last, unless all of them are
    of cold items.
    """
    marked = ratings.withColumn("cold", _is_cold(holdout.cold_items, seed))
    if holdout.by == "fraction":
        share = F.floor(F.lit(holdout.fraction) * _warm_count() + 0.5)
        held = _position(
            _hash(seed, "fraction", "user_id", "item_id"), F.col("item_id")
        ) <= F.least(share, _warm_count() - 1)
    elif holdout.by == "last":
        newest = (
            F.col("timestamp").desc(),
            _hash(seed, "last", "user_id", "item_id"),
            F.col("item_id"),
        )
        held = _position(*newest) <= F.least(F.lit(holdout.n), _warm_count() - 1)
    elif holdout.by == "time":
        held = F.col("timestamp") >= _threshold(ratings, holdout)
    else:
        held = F.lit(False)
    return marked.withColumn("held", held & ~F.col("cold"))


def _hash(seed: int, purpose: str, *columns: str) -> Column:
    return F.xxhash64(F.lit(seed), F.lit(purpose), *columns)


def _is_cold(share: float, seed: int) -> Column:
    """Whether an item is cold does not depend on the others, so that it stays so when items
    arrive.
    """
    return F.pmod(_hash(seed, "cold", "item_id"), F.lit(_BUCKETS)) < round(share * _BUCKETS)


def _warm_count() -> Column:
    return F.count("*").over(Window.partitionBy("user_id", "cold"))


def _position(*order: Column) -> Column:
    return F.row_number().over(Window.partitionBy("user_id", "cold").orderBy(*order))


def _threshold(ratings: DataFrame, holdout: HoldoutConfig) -> Column:
    if holdout.after is not None:
        return F.to_timestamp(F.lit(holdout.after))
    newest = ratings.agg(F.max(F.unix_micros("timestamp"))).first()
    micros = 0 if newest is None or newest[0] is None else newest[0]
    return F.timestamp_micros(F.lit(micros - round((holdout.last_days or 0) * 86_400e6)))
