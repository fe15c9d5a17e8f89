"""Which interactions are withheld from training, decided by hashes of outside ids: the same rows
whenever they are recomputed.

Random draws are unsafe on data that Spark may recompute: rows would move between the sets.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from emberline.sections.split import SplitConfig, ValidationConfig, WithheldConfig
from emberline.spark.hashes import BUCKETS, bucket_of, hash_of, is_drawn

HOLDOUT, VALIDATION = "holdout", "validation"
_ONE_IN = 5  # of a chosen user's interactions is for validation


def mark_holdout(interactions: DataFrame, config: SplitConfig) -> DataFrame:
    """Add the booleans `held` and `cold` (the item is withheld whole) to rows of user_id, item_id,
    timestamp, ...; also of `split`, with by = "column", and of `set`, with by = "given".

    A user always keeps at least one interaction where `by` is fraction, last or folds, unless all
    of them are of cold items.
    """
    marked = interactions.withColumn("cold", _is_cold(config))
    if config.by == "folds" and config.of == "ratings":
        held = _is_in_fold(config)
    elif config.by == "column":
        held = F.coalesce(F.col("split") == "test", F.lit(False))
    else:
        held = _is_chosen(marked, config, "", config.seed, "cold")
    return marked.withColumn("held", held & ~F.col("cold"))


def mark_validation(marked: DataFrame, config: SplitConfig) -> DataFrame:
    """Add the boolean `chosen` to rows of `mark_holdout`, of what it has left."""
    rest = marked.withColumn("_out", F.col("held") | F.col("cold"))
    chosen = F.lit(False)
    if config.by == "column":
        chosen = F.coalesce(F.col("split") == VALIDATION, F.lit(False))
        rest = rest.withColumn("_out", F.col("_out") | chosen)
    more = _is_validated(rest, config.validation, config.seed)
    return rest.withColumn("chosen", chosen | (more & ~F.col("_out"))).drop("_out")


def _is_validated(rest: DataFrame, config: ValidationConfig, seed: int) -> Column:
    if config.by != "users":
        return _is_chosen(rest.where(~F.col("_out")), config, f"{VALIDATION} ", seed, "_out")
    of = rest.where(~F.col("_out")).agg(F.countDistinct("user_id")).first()
    share = (config.users or 0) / max(1, of[0] if of else 0)
    is_user = is_drawn(share, seed, "validation users", "user_id")
    pair = hash_of(seed, "validation pairs", "user_id", "item_id")
    return is_user & (F.pmod(pair, F.lit(_ONE_IN)) == 0)


def _is_chosen(
    rows: DataFrame, config: WithheldConfig, purpose: str, seed: int, out: str
) -> Column:
    """Whether a row is withheld by a way that both sets have; `out` is the column of rows that do
    not count.
    """
    if config.by == "fraction":
        share = F.floor(F.lit(config.fraction) * _count(out) + 0.5)
        place = _position(out, hash_of(seed, f"{purpose}fraction", "user_id", "item_id"), "item_id")
        return place <= F.least(share, _count(out) - 1)
    if config.by == "last":
        ties = hash_of(seed, f"{purpose}last", "user_id", "item_id")
        place = _position(out, F.col("timestamp").desc(), ties, "item_id")
        return place <= F.least(F.lit(config.n), _count(out) - 1)
    if config.by == "time":
        return F.col("timestamp") >= _threshold(rows, config)
    if config.by == "given":
        return F.coalesce(F.col("set") == (VALIDATION if purpose else HOLDOUT), F.lit(False))
    return F.lit(False)


def _is_in_fold(config: SplitConfig) -> Column:
    """Each user's interactions are dealt out to the folds one by one, from one that depends on the
    user.
    """
    first = hash_of(config.seed, "fold", "user_id")
    place = _position("cold", hash_of(config.seed, "fold", "user_id", "item_id"), "item_id")
    fold = F.pmod(F.pmod(first, F.lit(config.folds)) + place, F.lit(config.folds)) + 1
    return (fold == F.lit(config.fold)) & (_count("cold") > 1)


def _is_cold(config: SplitConfig) -> Column:
    """Whether an item is cold does not depend on the others, so that it stays so when items
    arrive.
    """
    if config.of == "items":
        bucket = bucket_of(config.seed, "cold", "item_id")
        return F.floor(bucket * F.lit(config.folds) / BUCKETS) + 1 == F.lit(config.fold)
    if config.pairs is not None and config.pairs.cold:
        return F.coalesce(F.col("set") == HOLDOUT, F.lit(False))
    return is_drawn(config.cold_items, config.seed, "cold", "item_id")


def _count(out: str) -> Column:
    return F.count("*").over(Window.partitionBy("user_id", out))


def _position(out: str, *order: Column | str) -> Column:
    return F.row_number().over(Window.partitionBy("user_id", out).orderBy(*order))


def _threshold(rows: DataFrame, config: WithheldConfig) -> Column:
    if config.after is not None:
        return F.to_timestamp(F.lit(config.after))
    newest = rows.agg(F.max(F.unix_micros("timestamp"))).first()
    micros = 0 if newest is None or newest[0] is None else newest[0]
    return F.timestamp_micros(F.lit(micros - round((config.last_days or 0) * 86_400e6)))
