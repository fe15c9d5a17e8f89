"""The pipeline as one table: each stage's name, what it reads and writes, and where its code is.

Targets are strings, resolved when the stage runs: planning imports neither Spark nor TensorFlow.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from emberline.errors import ConfigError
from emberline.places import DATASET_PREFIX
from emberline.sections.config import Config

Engine = Literal["spark", "tensorflow", "python"]
Names = tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One row of the table. `raw` names the files that the stage reads: outside the root, or of an
    artifact (`dataset:...`).

    `on_spark` starts it on Spark's executors where its section says `launcher = "spark"`. `saves`:
    asked to stop, it saves first.
    """

    name: str
    section: str
    engine: Engine
    target: str
    reads: Callable[[Config], Names]
    writes: Callable[[Config], Names]
    raw: Callable[[Config], Names] = lambda config: ()
    on_spark: str | None = None
    saves: bool = False

    @property
    def is_all_at_once(self) -> bool:
        """Whether all tasks of its Spark job have to run at the same time, which dynamic
        allocation cannot promise.
        """
        return self.target == self.on_spark

    def settings(self, config: Config) -> Any:
        """The stage's own section of the config."""
        return getattr(config, self.section)

    def placed(self, config: Config) -> "Stage":
        """The row as this config has it run."""
        if self.on_spark and self.settings(config).launcher == "spark":
            return replace(self, engine="spark", target=self.on_spark)
        return self


def split_dataset_path(path: str) -> tuple[str, str] | None:
    """`dataset:shop/events.csv` as ("shop", "events.csv"): files of an artifact under the root;
    None for any other path.
    """
    if not path.startswith(DATASET_PREFIX):
        return None
    name, _, pattern = path.removeprefix(DATASET_PREFIX).partition("/")
    return name, pattern or "*"


def _ratings_raw(config: Config) -> Names:
    return (config.ratings.path,) if config.ratings else ()


def _attributes_raw(config: Config) -> Names:
    attributes = config.attributes
    return (
        tuple(source.path for source in (*attributes.items, *attributes.users))
        if attributes
        else ()
    )


def _images_raw(config: Config) -> Names:
    return (config.images.path,) if config.images else ()


def _recommend_raw(config: Config) -> Names:
    lists = (config.recommend.candidates, config.recommend.exclude) if config.recommend else ()
    return tuple(items.path for items in lists if items)


def _artifacts(paths: Names) -> Names:
    """The artifacts that some of the paths name."""
    return tuple(dict.fromkeys(source[0] for path in paths if (source := split_dataset_path(path))))


def _cosine_writes(config: Config) -> Names:
    sides = config.cosine.sides if config.cosine else ()
    return tuple(
        name
        for side, name in (("items", "item_neighbors"), ("users", "user_neighbors"))
        if side in sides
    )


MODEL_TABLES: dict[str, Names] = {
    "als": ("user_factors", "item_factors"),
    "item-neighbors": ("item_neighbors",),
    "user-neighbors": ("user_neighbors",),
}


RATING_TABLES: Names = ("user_rating_factors", "item_rating_factors")


def _als_writes(config: Config) -> Names:
    lists = MODEL_TABLES["als"] if config.makes_lists_by_als else ()
    return (*lists, *(RATING_TABLES if config.predicts_ratings_by_als else ()))


def _attributes_writes(config: Config) -> Names:
    sides = config.attributes and {
        "item_attributes": config.attributes.items,
        "user_attributes": config.attributes.users,
    }
    return tuple(name for name, sources in (sides or {}).items() if sources)


def _shards_reads(config: Config) -> Names:
    if config.shards and config.shards.task == "factors":
        return ("images", "item_factors", "holdout")
    has_labels = config.attributes is not None and any(
        source.columns.label for source in config.attributes.items
    )
    return ("images", "item_attributes") if has_labels else ("images",)


def _predict_writes(config: Config) -> Names:
    return ("predicted_classes" if config.predicts_classes else "predicted_factors", "embeddings")


def _recommend_reads(config: Config) -> Names:
    if not config.recommend:
        return ()
    cold = ("predicted_factors",) if config.recommends_unrated_items else ()
    return (
        "ratings",
        "users",
        "items",
        *MODEL_TABLES[config.recommend.model],
        *cold,
        *_artifacts(_recommend_raw(config)),
    )


def _recommend_writes(config: Config) -> Names:
    return (*_lists(config), "popular_items")


def _lists(config: Config) -> Names:
    """What is measured of the lists."""
    is_limited = config.recommend is not None and config.recommend.limits_items
    return ("recommendations", "recommendable_items") if is_limited else ("recommendations",)


def _evaluate_reads(config: Config) -> Names:
    names: Names = ()
    if config.recommend:
        factors = RATING_TABLES if config.predicts_ratings_by_als else ()
        predicting = (*factors, *_cosine_writes(config)) if config.predicts_ratings else ()
        names += ("ratings", "holdout", *_lists(config), *predicting)
    if config.measures_cold_items:
        names += ("ratings", "holdout", *MODEL_TABLES["als"], "predicted_factors", "shards_all")
    if config.predicts_classes:
        names += (
            "shards_all",
            "predicted_classes",
            *(("forest_classes",) if config.forest else ()),
        )
    return tuple(dict.fromkeys(names))


def _report_reads(config: Config) -> Names:
    """All that the other stages of the pipeline write, but what only machines read."""
    unread = {
        "user_neighbors",
        "item_neighbors",
        "embeddings",
        *SHARDS,
        "recommendable_items",
        "popular_items",
        "shop",
    }
    written = (
        name
        for stage in STAGES
        if stage.settings(config) is not None
        for name in stage.writes(config)
    )
    return tuple(name for name in written if name not in {*unread, "report"})


SHARDS = ("shards_train", "shards_val", "shards_test", "shards_all")

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
        reads=lambda config: _artifacts(_ratings_raw(config)),
        writes=lambda config: ("ratings", "holdout", "users", "items", "rejected_ratings"),
        raw=_ratings_raw,
    ),
    Stage(
        "prepare-items",
        "attributes",
        "spark",
        "emberline.spark.attributes:run",
        reads=lambda config: (
            *_artifacts(_attributes_raw(config)),
            *(("users", "items") if config.ratings else ()),
        ),
        writes=lambda config: (*_attributes_writes(config), "rejected_attributes"),
        raw=_attributes_raw,
    ),
    Stage(
        "prepare-images",
        "images",
        "spark",
        "emberline.spark.images:run",
        reads=lambda config: (
            *_artifacts(_images_raw(config)),
            *(("items",) if config.ratings else ()),
            *(name for name in _attributes_writes(config) if name == "item_attributes"),
        ),
        writes=lambda config: ("images", "rejected_images"),
        raw=_images_raw,
    ),
    Stage(
        "train-als",
        "als",
        "spark",
        "emberline.spark.als:run",
        reads=lambda config: ("ratings",),
        writes=_als_writes,
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
        "export-shards",
        "shards",
        "spark",
        "emberline.spark.shards:run",
        reads=_shards_reads,
        writes=lambda config: SHARDS,
    ),
    Stage(
        "train-cnn",
        "cnn",
        "tensorflow",
        "emberline.cnn.train:run",
        reads=lambda config: ("shards_train", "shards_val"),
        writes=lambda config: ("cnn",),
        on_spark="emberline.spark.barrier:run",
        saves=True,
    ),
    Stage(
        "predict-items",
        "predict",
        "tensorflow",
        "emberline.cnn.predict:run",
        reads=lambda config: ("cnn", "shards_all"),
        writes=_predict_writes,
    ),
    Stage(
        "train-forest",
        "forest",
        "spark",
        "emberline.spark.forest:run",
        reads=lambda config: ("embeddings", "shards_all"),
        writes=lambda config: ("forest", "forest_classes"),
    ),
    Stage(
        "recommend",
        "recommend",
        "spark",
        "emberline.spark.recommend:run",
        reads=_recommend_reads,
        writes=_recommend_writes,
        raw=_recommend_raw,
    ),
    Stage(
        "evaluate",
        "evaluate",
        "spark",
        "emberline.spark.evaluate:run",
        reads=_evaluate_reads,
        writes=lambda config: ("metrics",),
    ),
    Stage(
        "report",
        "report",
        "python",
        "emberline.report.page:run",
        reads=_report_reads,
        writes=lambda config: ("report",),
    ),
)


def in_pipeline(config: Config) -> list[Stage]:
    """The stages whose section the pipeline file has, in the order in which they run."""
    return [stage.placed(config) for stage in STAGES if stage.settings(config) is not None]


def select(config: Config, only: str | None = None, start: str | None = None) -> list[Stage]:
    """The pipeline's stages, or only the one called `only`, or those from `start` on. Raises
    ConfigError for an unknown name.
    """
    stages = in_pipeline(config)
    if not stages:
        raise ConfigError(
            "the pipeline has no stage: add one of the sections"
            f" {', '.join(s.section for s in STAGES)}"
        )
    if only and start:
        raise ConfigError("--only and --from exclude each other")
    names = [stage.name for stage in stages]
    wanted = only or start
    if wanted and wanted not in names:
        raise ConfigError(
            f"{wanted} is not a stage of this pipeline (its stages: {', '.join(names)})"
        )
    if only:
        return [stages[names.index(only)]]
    return stages[names.index(start) :] if start else stages


def producer(config: Config, name: str) -> str:
    """The stage that writes the dataset `name`, for error messages."""
    return next(
        (stage.name for stage in STAGES if name in stage.writes(config)),
        f"the stage that writes {name}",
    )
