"""The section [evaluate]: how recommendations are measured."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from emberline.models import ALS, CNN, CONTENT, FOREST
from emberline.sections.base import Positive, Section, Seed
from emberline.sections.content import tables_by_side
from emberline.sections.cosine import cosine_tables
from emberline.sections.cosine import memory as cosine_memory
from emberline.sections.recommend import holdout_tables
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class EvaluateConfig(Section):
    """How recommendations are measured on the holdout."""

    k: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = Field(
        default=(10,), description="At which lengths of the lists recommendations are measured."
    )
    cold_k: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = Field(
        default=(20,),
        description="At which lengths lists of cold items only are measured, by the factors "
        "that are predicted for them.",
    )
    relevant_from: float | None = Field(
        default=None,
        description="From which value on a held-out rating is relevant; without it, all are.",
    )
    damping: Annotated[float, Field(ge=0)] = Field(
        default=5.0,
        description="How many average ratings are added to each user's and each item's own, for "
        "the biases that predicted ratings are measured beside.",
    )
    replicates: Annotated[int, Field(ge=100, le=10_000)] = Field(
        default=1000,
        description="How often users, and items that nobody has rated, are drawn again for "
        "intervals and tests.",
    )
    slice_by: str | None = Field(
        default=None,
        description="What is known of users that metrics are told apart by, too: `label`, or the "
        "name of a number, of [[attributes.users]].",
    )
    seed: Seed = Field(
        default=1, description="The seed of the random choices of measures that sample."
    )


def _reads(config: "Config") -> Names:
    names: Names = ()
    if config.recommend:
        factors = ALS.ratings if config.predicts_ratings_by_als else ()
        predicting = (*factors, *cosine_tables(config)) if config.predicts_ratings else ()
        vectors = ALS.lists[1:] if config.makes_lists_by_als else ()
        names += ("ratings", "holdout", *holdout_tables(config), *vectors, *predicting)
    if config.measures_cold_items:
        names += ("ratings", "holdout", ALS.lists[0], *config.new_item_tables, *_BASELINES)
    if config.predicts_classes:
        names += ("shards_all", *CNN.classes, *(FOREST.classes if config.forest else ()))
    if config.evaluate and config.evaluate.slice_by and names:
        names += ("user_attributes",)
    return tuple(dict.fromkeys(names))


def _memory(config: "Config", sizes: Sizes, cores: int) -> int:
    """Bytes that an evaluation takes at most where blocks are worked on here."""
    rank = config.als.rank if config.als else 0
    factors = (sizes.rows("users") + sizes.rows("items")) * rank * 4
    measures = 8 * sizes.rows("users") * _values(config)
    counts = 24 * sizes.rows("items") * (1 + 2 * len(config.evaluate.k if config.evaluate else ()))
    shown = 40 * (sizes.rows("holdout_recommendations") + sizes.rows("holdout"))
    whole = cores * (200 << 20) + 4 * factors + shown + 60 * sizes.rows("ratings")
    whole += measures + counts
    return whole + (cosine_memory(sizes, cores) if config.cosine and config.predicts_ratings else 0)


def _values(config: "Config") -> int:
    """How many measures a user has at most, until they are written."""
    asked = config.evaluate
    if asked is None:
        return 0
    of_lists = 2 * 3 * 12 * len(asked.k)  # perhaps of newcomers, too; three contestants
    of_items = 14 * (1 + 3 * len(asked.cold_k)) if config.measures_cold_items else 0
    return of_lists + of_items + 14  # and two errors of seven predictions


_BASELINES = ("baseline_factors",)


def _baselines_read(config: "Config") -> Names:
    pictures = ("shards_all", *CNN.new_items) if config.predicts_factors else ()
    by_content = tables_by_side(config).get("item", ())
    said = ("item_attributes", *by_content, *CONTENT.kept) if by_content else ()
    return ("ratings", "holdout", *ALS.lists, *pictures, *said)


def _baselines_memory(config: "Config", sizes: Sizes, cores: int) -> int:
    rank = config.als.rank if config.als else 0
    factors = (sizes.rows("user_factors") + sizes.rows("item_factors")) * rank * 4
    seen = 20_000 * sizes.rows("shards_all") if config.predicts_factors else 0
    return cores * (150 << 20) + 4 * factors + seen + 72 * sizes.rows("holdout")


BASELINES_STAGE = Stage(
    "train-baselines",
    "evaluate",
    "flow",
    "emberline.baselines.stage:run",
    reads=_baselines_read,
    writes=lambda config: _BASELINES if config.measures_cold_items else (),
    uses=(),
    memory=_baselines_memory,
)

STAGE = Stage(
    "evaluate",
    "evaluate",
    "flow",
    "emberline.evaluation.stage:run",
    reads=_reads,
    writes=lambda config: ("metrics", "user_measures", "item_measures"),
    memory=_memory,
)
