"""The stage train-als: factors of users and items by alternating least squares, on blocks of
ratings.

NumPy solves blocks (`cf/als/`, whose `objective.py` says what is minimised); Spark cuts and keeps
them, moves factors to them, and repeats what is lost. An iteration solves the items from the users,
then the users from the items. The last half-step solves the users exactly, so that each user's
factors are the least-squares answer to the items'.

Where both lists and predicted ratings are wanted, there are two fits, of implicit and of explicit
feedback, on the same blocks.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.cf.als import factor_rows, gramians, publishing, starts
from emberline.cf.als.gramians import Grams
from emberline.cf.als.objective import Loss, Objective
from emberline.cf.als.packing import SIDES
from emberline.cf.als.solvers import Solver
from emberline.cf.als.steps import Step
from emberline.cf.als.validation import Withheld
from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.datasets.manifest import Dataset
from emberline.datasets.storage import Location
from emberline.errors import ConfigError
from emberline.logs import event
from emberline.numeric.arrays import Float64
from emberline.runs.stage_run import StageRun
from emberline.sections.als import AlsConfig
from emberline.sections.config import Config
from emberline.spark import frames
from emberline.spark.als import packing as rating_blocks
from emberline.spark.als import plan as als_plan
from emberline.spark.als import validation
from emberline.spark.als.checkpoint import Checkpoint
from emberline.spark.als.exchange import Broadcasting, Exchange, Routing
from emberline.spark.als.packing import RatingBlocks
from emberline.spark.als.plan import Sizes
from emberline.spark.als.validation import Validation
from emberline.spark.frames import spark_schema
from emberline.spark.scan import Scan

log = logging.getLogger(__name__)
Row = dict[str, Any]
Progress = Callable[[str], None]
_PARTS = ("loss", "observed", "unobserved", "regularisation")


@dataclass(frozen=True)
class Purpose:
    """What one fit of the stage is for, and what it is called: `tables` by side, `work` is
    where its state is kept.
    """

    implicit: bool
    config: AlsConfig
    tables: dict[str, str]
    work: str

    @property
    def objective(self) -> Objective:
        return _objective(self.config, self.implicit)


def purposes(config: Config) -> list[Purpose]:
    """The fits of a pipeline: for lists, for predicted ratings, or for both."""
    lists = Purpose(True, config.als_for_lists, {side: f"{side}_factors" for side in SIDES}, "als")
    ratings = Purpose(
        False,
        config.als_for_ratings,
        {side: f"{side}_rating_factors" for side in SIDES},
        "als-ratings",
    )
    wanted = {"lists": config.makes_lists_by_als, "ratings": config.predicts_ratings_by_als}
    return [purpose for name, purpose in (("lists", lists), ("ratings", ratings)) if wanted[name]]


def run(run: StageRun, spark: SparkSession) -> None:
    """Fit and write both sides' factors, of each purpose."""
    wanted = purposes(run.config)
    width = max(purpose.objective.width(purpose.config.rank) for purpose in wanted)
    checkpoints = {
        purpose.work: Checkpoint(run.work / purpose.work, run.settings.exchange)
        for purpose in wanted
    }
    cut = prepare(
        Scan.of(spark, run.inputs["ratings"]),
        run.settings,
        width,
        list(checkpoints.values()),
        run.scratch,
    )
    for purpose in wanted:
        earlier = earlier_factors(run, spark, purpose)
        scratch = run.scratch / purpose.work
        model = fit_blocks(
            cut,
            purpose.config,
            purpose.implicit,
            checkpoints[purpose.work],
            scratch,
            earlier,
            run.progress,
        )
        _write(run, purpose, model)
        model.exchange.close()
    cut.packed.frame.unpersist()


# --------------------------------------------------------------------------------------------------
# fit


@dataclass(frozen=True)
class Model:
    """What a fit came to: both sides' factors, each iteration's row of the history, and the parts
    of the loss at the end.

    Where nothing was iterated, these are the observed and the unobserved part, of users folded in.
    `best` is the iteration that was kept, 0 where none was measured; `rank` how long published
    factors are.
    """

    exchange: Exchange
    objective: Objective
    history: list[Row]
    final: Row
    best: int
    rank: int

    def factors(self, side: str) -> DataFrame:
        """A row per rated user or item: its index, and its factors as they are published."""
        return _published(self.exchange.blocks(side), side, self.objective)

    def close(self) -> None:
        """Free the memory that the ratings and the factors take."""
        self.exchange.close()
        self.exchange.ratings.frame.unpersist()


def _published(blocks: DataFrame, side: str, objective: Objective) -> DataFrame:
    task = partial(publishing.publish, side=side, objective=objective)
    return blocks.mapInArrow(task, f"{side} int, factors array<float>")


def _write(run: StageRun, purpose: Purpose, model: Model) -> None:
    facts = {
        "history": model.history,
        **model.final,
        "value_mean": model.objective.mean,
        "value_deviation": model.objective.deviation,
    }
    facts |= {"best_iteration": model.best} if model.best else {}
    for side, table in purpose.tables.items():
        rows = model.factors(side).sortWithinPartitions(side)
        frames.write(rows, run, table, rank=model.rank, seed=purpose.config.seed, **facts)
    run.metrics |= facts if purpose.implicit else {"ratings": facts}


def fit(
    ratings: Scan,
    config: AlsConfig,
    implicit: bool,
    work: Location,
    scratch: Location,
    earlier: dict[str, DataFrame] | None = None,
    progress: Progress = lambda text: None,
) -> Model:
    """Factors for ratings (columns user, item and value).

    `work` keeps the state for a next attempt, and `scratch` what only this one needs; `earlier` are
    published factors to begin from. Raises EmptyDatasetError without ratings, DataError for values
    that are not finite and for repeated pairs.
    """
    checkpoint = Checkpoint(work / "als", config.exchange)
    cut = prepare(
        ratings, config, _objective(config, implicit).width(config.rank), [checkpoint], scratch
    )
    return fit_blocks(cut, config, implicit, checkpoint, scratch, earlier, progress)


@dataclass(frozen=True)
class Cut:
    """Ratings as blocks, and what their cut was decided by; `withheld` are those that
    iterations are measured by.
    """

    ratings: Scan
    packed: RatingBlocks
    sizes: Sizes
    exchange: str
    withheld: Withheld | None


def prepare(
    ratings: Scan, config: AlsConfig, width: int, stored: Sequence[Checkpoint], scratch: Location
) -> Cut:
    """Cut ratings into blocks, for fits of factors of at most that width, as those that are
    `stored` go on.
    """
    sizes = als_plan.measure(ratings, width)
    begun = next((checkpoint for checkpoint in stored if checkpoint.blocks), None)
    plan = als_plan.choose(
        config,
        sizes,
        ratings.frame.sparkSession,
        *((begun.exchange, begun.blocks) if begun else ()),
    )
    log.info(
        event(
            "als_plan", ratings=sizes.ratings, users=sizes.users, items=sizes.items, **asdict(plan)
        )
    )
    withheld = (
        Withheld(config.validation_users / sizes.users, config.seed)
        if config.validation_users
        else None
    )
    packed = rating_blocks.pack(
        ratings, plan.blocks, scratch / "packed" if plan.exchange == "shuffle" else None, withheld
    )
    return Cut(ratings, packed, sizes, plan.exchange, withheld)


def fit_blocks(
    cut: Cut,
    config: AlsConfig,
    implicit: bool,
    checkpoint: Checkpoint,
    scratch: Location,
    earlier: dict[str, DataFrame] | None = None,
    progress: Progress = lambda text: None,
) -> Model:
    """Factors for ratings that are cut already; see `fit`."""
    objective = replace(
        _objective(config, implicit), mean=cut.packed.mean, deviation=cut.packed.deviation
    )
    measured = (
        validation.collect(cut.ratings, cut.withheld, objective, cut.sizes.items)
        if cut.withheld
        else None
    )
    exchange = _exchange(cut.exchange, cut.packed, objective.width(config.rank), scratch)
    training = _Training(exchange, objective, config, checkpoint, measured, progress)
    _begin(training, earlier)
    final = training.run()
    return Model(
        exchange,
        objective,
        training.history,
        final,
        training.best,
        config.rank + 2 * objective.biases,
    )


def _objective(config: AlsConfig, implicit: bool) -> Objective:
    return Objective(
        implicit,
        config.reg_param,
        config.reg_exponent,
        config.alpha,
        "log" if config.confidence == "auto" else config.confidence,
        config.unobserved_weight,
        config.ratings.biases and not implicit,
    )


def _exchange(name: str, packed: RatingBlocks, width: int, scratch: Location) -> Exchange:
    return Broadcasting(packed, width) if name == "broadcast" else Routing(packed, width, scratch)


@dataclass
class _Training:
    """The iterations of one fit."""

    exchange: Exchange
    objective: Objective
    config: AlsConfig
    checkpoint: Checkpoint
    validation: Validation | None
    progress: Progress

    def __post_init__(self) -> None:
        self.history = list(self.checkpoint.history)
        self.best = self.checkpoint.best
        self.solver = Solver(
            self.config.solver, self.config.cg_steps, self.config.subspace, self.config.nonnegative
        )
        self.exact = replace(self.solver, name="exact")

    def run(self) -> Row:
        """Iterate, and solve the users exactly from the best items; the parts of the loss that
        this comes to.
        """
        while len(self.history) < self.config.iterations and not self._has_stalled():
            is_last = len(self.history) + 1 == self.config.iterations and self.validation is None
            self._iterate(self.exact if is_last else self.solver)
            if is_last:
                return {name: self.history[-1][name] for name in _PARTS}
        return self._finish()

    def _finish(self) -> Row:
        if self.best not in (0, len(self.history)):
            self.exchange.restore("item", self.checkpoint.files("item", self.best))
        users = self.exchange.half_step("user", self.objective, self.exact)
        if not self.history:  # nobody has computed the items' regularisation
            return {"observed": users.observed, "unobserved": users.unobserved(self.objective)}
        return self._parts(
            users, self.history[(self.best or len(self.history)) - 1]["item_regularisation"]
        )

    def _iterate(self, users_solver: Solver) -> None:
        began = time.monotonic()
        items = self.exchange.half_step("item", self.objective, self.solver)
        users = self.exchange.half_step("user", self.objective, users_solver)
        row = {
            "iteration": len(self.history) + 1,
            **self._parts(users, items.penalty),
            "item_regularisation": items.penalty,
        }
        row |= self.validation.measure(self.exchange, self.objective) if self.validation else {}
        self.history.append(row | {"seconds": time.monotonic() - began})
        log.info(event("als_iteration", **self.history[-1]))
        self.progress(
            f"iteration {row['iteration']} of {self.config.iterations}: loss {row['loss']:.5g}"
        )
        self._store()

    def _store(self) -> None:
        iteration = len(self.history)
        is_best = self.validation is not None and (
            not self.best or self._measure(iteration) < self._measure(self.best)
        )
        self.best = iteration if is_best else self.best
        if is_best or iteration % self.config.checkpoint_every == 0:
            self.checkpoint.store(self.exchange, self.history, self.best)

    def _has_stalled(self) -> bool:
        patience = self.config.patience
        return patience is not None and self.best > 0 and len(self.history) - self.best >= patience

    def _measure(self, iteration: int) -> float:
        """What is to be small."""
        row = self.history[iteration - 1]
        return float(row["rmse"] if "rmse" in row else -row["auc"])

    def _parts(self, users: Loss, item_regularisation: float) -> Row:
        parts = (
            users.observed,
            users.unobserved(self.objective),
            users.penalty + item_regularisation,
        )
        return dict(zip(_PARTS, (sum(parts), *parts), strict=True))


def _begin(training: _Training, earlier: dict[str, DataFrame] | None) -> None:
    """Where the first iteration starts: where an attempt was killed, or at the answers of users to
    earlier or to random items.

    That saves iterations beside random users: each of them has seen all of their ratings.
    """
    exchange, config, objective = training.exchange, training.config, training.objective
    ratings = exchange.ratings
    if training.history:
        for side in SIDES:
            exchange.restore(side, training.checkpoint.files(side, len(training.history)))
        return
    if earlier:
        for side in SIDES:
            exchange.load(side, _continued(ratings, side, earlier[side], objective, config.rank))
    else:
        task = partial(
            starts.begin,
            rank=config.rank,
            objective=objective,
            seed=config.seed,
            nonnegative=config.nonnegative,
        )
        exchange.load(
            "item",
            ratings.of("item", "ids", "indptr").mapInArrow(task, spark_schema(factor_rows.FACTORS)),
        )
    exchange.half_step("user", objective, training.solver)


def _continued(
    ratings: RatingBlocks, side: str, earlier: DataFrame, objective: Objective, rank: int
) -> DataFrame:
    """FACTORS of the rated rows of a side, from published ones; zeros for those that have none."""
    before = earlier.select(
        (F.col(side) % ratings.num_blocks).alias("block"), F.col(side).alias("id"), "factors"
    )
    width = objective.width(rank)

    # a partial hides the type hints that applyInArrow needs
    def join(packed: pa.Table, earlier: pa.Table) -> pa.Table:
        return starts.continue_from(packed, earlier, side, objective, width)

    both = ratings.of(side, "ids", "indptr").groupBy("block").cogroup(before.groupBy("block"))
    return both.applyInArrow(join, spark_schema(factor_rows.FACTORS))


# --------------------------------------------------------------------------------------------------
# from earlier factors


def earlier_factors(
    run: StageRun, spark: SparkSession, purpose: Purpose
) -> dict[str, DataFrame] | None:
    """Published factors to begin from, in this root's indices; None where the config names none, or
    "previous" has none that fit.

    Raises ConfigError where another root's do not fit, or none do that are to be kept as they are.
    """
    config: AlsConfig = run.settings
    if config.start_from is None:
        return None
    if config.start_from == "previous":
        found = {side: run.previous(table) for side, table in purpose.tables.items()}
        reason = _why_not(purpose, list(found.values()))
        if reason and not config.iterations:
            raise ConfigError(
                f"als.iterations = 0 keeps the items' earlier factors, but {reason}; train once"
                " with iterations"
            )
        if reason:
            log.info(event("als_starts_cold", because=reason))
            return None
        return {side: frames.read(spark, dataset) for side, dataset in found.items() if dataset}
    root = storage.locate(config.start_from)
    return {side: _of_other_root(run, spark, root, side, purpose) for side in SIDES}


def _why_not(purpose: Purpose, datasets: list[Dataset | None]) -> str | None:
    """Why earlier factors cannot be begun from."""
    known = [dataset.manifest.produced_by for dataset in datasets if dataset]
    if len(known) < len(datasets):
        return "there is no earlier run"
    if len({producer.run_id for producer in known}) > 1:
        return "the earlier factors are of two runs"
    wanted, had = _shape(purpose, purpose.config.what()), _shape(purpose, known[0].config)
    return None if had == wanted else f"they have {_said(had)}, wanted are {_said(wanted)}"


def _shape(purpose: Purpose, settings: Row) -> Row:
    """Of [als], what decides how published factors look."""
    if purpose.implicit:
        return {"rank": settings.get("rank")}
    ratings = settings.get("ratings", {})
    return {f"ratings.{key}": ratings.get(key) for key in ("rank", "biases")}


def _said(settings: Row) -> str:
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())


def _of_other_root(
    run: StageRun, spark: SparkSession, root: Location, side: str, purpose: Purpose
) -> DataFrame:
    """Another root's factors, by our indices: an id has another index there."""
    table = purpose.tables[side]
    theirs = {name: manifests.load(root, name) for name in (table, f"{side}s")}
    ours = run.previous(f"{side}s")
    reason = _why_not(purpose, [theirs[table]])
    if reason or ours is None:
        raise ConfigError(
            f"als.start_from: {root} does not fit: {reason or 'this root has no ids'}; train it"
            " anew, or remove start_from"
        )
    run.continued[f"{root}/{table}"] = theirs[table].manifest.identity()
    factors, ids = (frames.read(spark, dataset) for dataset in theirs.values())
    mine = frames.read(spark, ours).select(side, f"{side}_id")
    return (
        factors.join(ids.select(side, f"{side}_id"), side)
        .drop(side)
        .join(mine, f"{side}_id")
        .select(side, "factors")
    )


def fold_in_items(
    ratings: Scan, user_factors: DataFrame, config: AlsConfig, known: Row, scratch: Location
) -> DataFrame:
    """Columns item and factors of the items that `ratings` (user, item, value) name, solved exactly
    from the users'.

    `config` is of the fit that makes lists; `known` has the mean and the deviation of the ratings
    that the users were fitted to.
    """
    objective = replace(
        _objective(config, True), mean=known["value_mean"], deviation=known["value_deviation"]
    )
    sizes = als_plan.measure(ratings, config.rank)
    plan = als_plan.choose(config, sizes, ratings.frame.sparkSession)
    packed = rating_blocks.pack(
        ratings, plan.blocks, scratch / "packed" if plan.exchange == "shuffle" else None
    )
    exchange = _exchange(plan.exchange, packed, sizes.width, scratch)
    exchange.load("user", _continued(packed, "user", user_factors, objective, config.rank))
    solver = Solver("cholesky", nonnegative=config.nonnegative)  # from zero, which is far
    gram = _gramian(user_factors, sizes.width)
    exchange.solve("item", Step(objective, solver, Grams(gram, gram, user_factors.count(), 0)))
    return _published(exchange.blocks("item"), "item", objective)


def _gramian(factors: DataFrame, width: int) -> Float64:
    """Of published factors without biases; where there are biases, what was not observed weighs
    nothing.
    """
    sums = (
        factors.select("factors")
        .mapInArrow(gramians.sum_gramians, spark_schema(gramians.GRAMIANS))
        .toLocalIterator()
    )
    total = sum((np.frombuffer(row["gramian"]) for row in sums), np.zeros(1))
    side = round(len(total) ** 0.5)
    return total.reshape(side, side)[:width, :width]
