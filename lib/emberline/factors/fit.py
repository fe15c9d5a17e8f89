"""One fit of alternating least squares: ratings cut into blocks, a start, and iterations."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from emberline.cf.als import factor_rows, publishing, starts
from emberline.cf.als.objective import Objective
from emberline.cf.als.packing import SIDES
from emberline.cf.entries import PIECES
from emberline.datasets.facts import Fitted, Values
from emberline.datasets.storage import Location
from emberline.factors import packing as rating_blocks
from emberline.factors import plan as als_plan
from emberline.factors import validation
from emberline.factors.checkpoint import Checkpoint
from emberline.factors.exchange import Broadcasting, Exchange, Routing
from emberline.factors.packing import RatingBlocks
from emberline.factors.plan import Sizes
from emberline.factors.purposes import objective_of
from emberline.factors.training import Progress, Row, Training
from emberline.flow.rows import Flow, Rows, Source
from emberline.logs import event
from emberline.models import ALS
from emberline.sections.als import AlsConfig

log = logging.getLogger(__name__)


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
    nonnegative: bool

    def factors(self, side: str) -> Rows:
        """A row per rated user or item: its index, and its factors as they are published."""
        return published(self.exchange.blocks(side), side, self.objective)

    def facts(self) -> tuple[Values, Fitted]:
        """What was made small, as manifests say it."""
        said = asdict(self.objective)
        values = Values(said.pop("mean"), said.pop("deviation"))
        return values, Fitted(**said, nonnegative=self.nonnegative)

    def close(self) -> None:
        """Free the memory that the ratings and the factors take."""
        self.exchange.close()
        self.exchange.ratings.rows.free()


def published(blocks: Rows, side: str, objective: Objective) -> Rows:
    task = partial(publishing.publish, side=side, objective=objective)
    return blocks.map(task, publishing.schema_of(side))


def fit(
    flow: Flow,
    ratings: Source,
    config: AlsConfig,
    implicit: bool,
    work: Location,
    scratch: Location,
    earlier: dict[str, Rows] | None = None,
    progress: Progress = lambda text: None,
    withheld: Source | None = None,
) -> Model:
    """Factors for ratings (columns user, item and value), whose iterations are measured by those
    `withheld`.

    `work` keeps the state for a next attempt, and `scratch` what only this one needs; `earlier` are
    EARLIER factors to begin from, by side. Raises EmptyDatasetError without ratings, DataError for
    values that are not finite and for repeated pairs.
    """
    checkpoint = Checkpoint(work / ALS.name, config.exchange)
    width = objective_of(config, implicit).width(config.rank)
    cut = prepare(flow, ratings, withheld, config, width, [checkpoint], scratch)
    return fit_blocks(cut, config, implicit, checkpoint, scratch, earlier, progress)


@dataclass(frozen=True)
class Cut:
    """Ratings as blocks, and what their cut was decided by; `withheld` are others, that
    iterations are measured by. `compiled` is as in the plan.
    """

    ratings: Source
    packed: RatingBlocks
    sizes: Sizes
    exchange: str
    compiled: bool
    withheld: Source | None


def prepare(
    flow: Flow,
    ratings: Source,
    withheld: Source | None,
    config: AlsConfig,
    width: int,
    stored: Sequence[Checkpoint],
    scratch: Location,
) -> Cut:
    """Cut ratings into blocks, for fits of factors of at most that width, as those that are
    `stored` go on.
    """
    sizes = als_plan.measure(ratings, width)
    begun = next((checkpoint for checkpoint in stored if checkpoint.blocks), None)
    plan = als_plan.choose(
        config,
        sizes,
        flow,
        *((begun.exchange, begun.blocks) if begun else ()),
    )
    log.info(
        event(
            "als_plan", ratings=sizes.ratings, users=sizes.users, items=sizes.items, **asdict(plan)
        )
    )
    packed = rating_blocks.pack(
        ratings, plan.blocks, scratch / "packed" if plan.exchange == "shuffle" else None
    )
    return Cut(ratings, packed, sizes, plan.exchange, plan.compiled, withheld)


def fit_blocks(
    cut: Cut,
    config: AlsConfig,
    implicit: bool,
    checkpoint: Checkpoint,
    scratch: Location,
    earlier: dict[str, Rows] | None = None,
    progress: Progress = lambda text: None,
) -> Model:
    """Factors for ratings that are cut already; see `fit`."""
    objective = replace(
        objective_of(config, implicit), mean=cut.packed.mean, deviation=cut.packed.deviation
    )
    measured = (
        validation.collect(cut.ratings, cut.withheld, objective, cut.sizes.items, config.seed)
        if cut.withheld
        else None
    )
    exchange = exchange_of(cut.exchange, cut.packed, objective.width(config.rank), scratch)
    training = Training(exchange, objective, config, checkpoint, measured, progress, cut.compiled)
    _begin(training, earlier)
    final = training.run()
    return Model(
        exchange,
        objective,
        training.history,
        final,
        training.best,
        config.rank + 2 * objective.biases,
        config.nonnegative,
    )


def exchange_of(name: str, packed: RatingBlocks, width: int, scratch: Location) -> Exchange:
    return Broadcasting(packed, width) if name == "broadcast" else Routing(packed, width, scratch)


def _begin(training: Training, earlier: dict[str, Rows] | None) -> None:
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
            exchange.load(side, continued(ratings, side, earlier[side], objective, config.rank))
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
            ratings.of("item", "ids", "indptr").map(task, factor_rows.FACTORS),
        )
    exchange.half_step("user", objective, training.solver)


def continued(
    ratings: RatingBlocks, side: str, earlier: Rows, objective: Objective, rank: int
) -> Rows:
    """FACTORS of the rated rows of a side, from EARLIER ones; zeros for those that have none."""
    scatter = partial(starts.scatter_published, num_blocks=ratings.num_blocks)
    rated = ratings.of(side, "ids", "indptr").map(starts.rated_pieces, PIECES)
    pieces = rated.union(earlier.map(scatter, PIECES)).together(ratings.num_blocks)
    task = partial(
        starts.continue_from, side=side, objective=objective, width=objective.width(rank)
    )
    return pieces.map(task, factor_rows.FACTORS)
