"""The pipeline as one table: each stage's name, what it reads and writes, and where its code is.

Targets are strings, resolved when the stage runs: planning imports neither Spark nor TensorFlow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from emberline.config import Config
from emberline.errors import ConfigError

Engine = Literal["spark", "tensorflow", "python"]
Names = tuple[str, ...]

DATASET_PREFIX = "dataset:"


@dataclass(frozen=True)
class Stage:
    """One row of the table. `raw` names the files that the stage reads: outside the root, or of an artifact."""

    name: str
    section: str
    engine: Engine
    target: str
    reads: Callable[[Config], Names]
    writes: Callable[[Config], Names]
    raw: Callable[[Config], str] = lambda config: ""

    def settings(self, config: Config) -> Any:
        """The stage's own section of the config."""
        return getattr(config, self.section)


def split_dataset_path(path: str) -> tuple[str, str] | None:
    """`dataset:shop/events.csv` as ("shop", "events.csv"): files of an artifact under the root; None for any other path."""
    if not path.startswith(DATASET_PREFIX):
        return None
    name, _, pattern = path.removeprefix(DATASET_PREFIX).partition("/")
    return name, pattern or "*"


def _ratings_path(config: Config) -> str:
    return config.ratings.path if config.ratings else ""


def _ratings_reads(config: Config) -> Names:
    source = split_dataset_path(_ratings_path(config))
    return (source[0],) if source else ()


def _cosine_writes(config: Config) -> Names:
    sides = config.cosine.sides if config.cosine else ()
    return tuple(name for side, name in (("items", "item_neighbors"), ("users", "user_neighbors")) if side in sides)


MODEL_TABLES: dict[str, Names] = {
    "als": ("user_factors", "item_factors"),
    "item-neighbors": ("item_neighbors",),
    "user-neighbors": ("user_neighbors",),
}


def _recommend_reads(config: Config) -> Names:
    return ("ratings", "users", "items", *(MODEL_TABLES[config.recommend.model] if config.recommend else ()))


def _evaluate_reads(config: Config) -> Names:
    predicts_ratings = config.als is not None and not config.is_implicit
    return ("ratings", "holdout", "recommendations", *(MODEL_TABLES["als"] if predicts_ratings else ()))


STAGES: tuple[Stage, ...] = (
    Stage(
        "generate-shop",
        "shop",
        "python",
        "emberline.shop.generate:run",
        reads=lambda config: (),
        writes=lambda config: ("shop",),
    ),
    Stage(
        "prepare-ratings",
        "ratings",
        "spark",
        "emberline.spark.ratings:run",
        reads=_ratings_reads,
        writes=lambda config: ("ratings", "holdout", "users", "items", "rejected_ratings"),
        raw=_ratings_path,
    ),
    Stage(
        "train-als",
        "als",
        "spark",
        "emberline.spark.als:run",
        reads=lambda config: ("ratings",),
        writes=lambda config: ("user_factors", "item_factors"),
    ),
    Stage(
        "train-cosine",
        "cosine",
        "spark",
        "emberline.spark.cosine:run",
        reads=lambda config: ("ratings",),
        writes=_cosine_writes,
    ),
    Stage(
        "recommend",
        "recommend",
        "spark",
        "emberline.spark.recommend:run",
        reads=_recommend_reads,
        writes=lambda config: ("recommendations",),
    ),
    Stage(
        "evaluate",
        "evaluate",
        "spark",
        "emberline.spark.evaluate:run",
        reads=_evaluate_reads,
        writes=lambda config: ("metrics",),
    ),
)


def in_pipeline(config: Config) -> list[Stage]:
    """The stages whose section the pipeline file has, in the order in which they run."""
    return [stage for stage in STAGES if stage.settings(config) is not None]


def select(config: Config, only: str | None = None, start: str | None = None) -> list[Stage]:
    """The pipeline's stages, or only the one called `only`, or those from `start` on. Raises ConfigError for an unknown name."""
    stages = in_pipeline(config)
    if not stages:
        raise ConfigError(f"the pipeline has no stage: add one of the sections {', '.join(s.section for s in STAGES)}")
    if only and start:
        raise ConfigError("--only and --from exclude each other")
    names = [stage.name for stage in stages]
    wanted = only or start
    if wanted and wanted not in names:
        raise ConfigError(f"{wanted} is not a stage of this pipeline (its stages: {', '.join(names)})")
    if only:
        return [stages[names.index(only)]]
    return stages[names.index(start) :] if start else stages


def producer(config: Config, name: str) -> str:
    """The stage that writes the dataset `name`, for error messages."""
    return next((stage.name for stage in STAGES if name in stage.writes(config)), f"the stage that writes {name}")
