"""The stage split-ratings: interactions become those that models are trained on, those that they
are chosen by, and those that they are measured by.

    kept = ratings + validation + holdout
"""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.datasets.cleaned import cleaning_of
from emberline.datasets.facts import Accounts, Cleaned, Facts, Holdout
from emberline.datasets.schema import TABLES
from emberline.errors import DataError, EmptyDatasetError
from emberline.runs.stage_run import StageRun
from emberline.sections.split import SplitConfig
from emberline.spark import frames, given
from emberline.spark.sketches import sketch
from emberline.spark.withheld import HOLDOUT, VALIDATION, mark_holdout, mark_validation

SETS = ("ratings", VALIDATION, HOLDOUT)


def run(run: StageRun[SplitConfig], spark: SparkSession) -> None:
    """Mark, check, write and count."""
    config = run.settings
    tables = {name: frames.read(spark, dataset) for name, dataset in run.inputs.items()}
    named = with_ids(tables["interactions"], tables["users"], tables["items"])
    marked = (
        given.with_sets(run, spark, named)
        .transform(mark_holdout, config)
        .transform(mark_validation, config)
        .repartition("user")
        .persist()
    )
    if config.pairs is not None:
        given.check_cold(marked)
    for name in SETS:
        _write(run, marked, name)
    marked.unpersist()
    _account(run)


def with_ids(interactions: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """Add user_id and item_id, by which interactions are chosen, to rows of user and item."""
    return interactions.join(users.select("user", "user_id"), "user").join(
        items.select("item", "item_id"), "item"
    )


def of_set(marked: DataFrame, name: str) -> DataFrame:
    """The rows of one of SETS."""
    is_holdout = F.col("held") | F.col("cold")
    conditions = {
        HOLDOUT: is_holdout,
        VALIDATION: F.col("chosen"),
        "ratings": ~is_holdout & ~F.col("chosen"),
    }
    return marked.where(conditions[name])


def _write(run: StageRun[SplitConfig], marked: DataFrame, name: str) -> None:
    """One set, with what its readers have to know of how interactions were cleaned."""
    config = run.settings
    facts: list[Facts] = [Cleaned(cleaning_of(run.inputs["interactions"]))]
    if name == HOLDOUT:
        marks = ("held", "cold", *(("chosen",) if config.validates else ()))
        data = sketch(marked, ("user_id", "item_id"), "value", *marks)
        facts.append(Holdout(config.protocol(), data))
    rows = of_set(marked, name).select(TABLES[name].names).sortWithinPartitions("user", "item")
    frames.write(rows, run, name, *facts, seed=config.seed)


def _account(run: StageRun[SplitConfig]) -> None:
    """Compare what was read with what was written. Raises DataError where an interaction is
    missing or twice there, EmptyDatasetError where none is left to train on.
    """
    kept = run.inputs["interactions"].rows
    accounts = {"kept": kept, **{name: run.outputs.rows(name) for name in SETS}}
    if kept != sum(accounts[name] for name in SETS):
        raise DataError(
            f"the interactions do not add up: {accounts}; run prepare-ratings and split-ratings"
            " again, with --force"
        )
    if accounts["ratings"] == 0:
        raise EmptyDatasetError(
            f"of {kept:,} interactions none is left to train on ({accounts[HOLDOUT]:,} are held"
            f" out, {accounts[VALIDATION]:,} are for validation); withhold less in [split]"
        )
    run.outputs.measure(split=accounts)
    run.outputs.finish("ratings", Accounts(accounts))
