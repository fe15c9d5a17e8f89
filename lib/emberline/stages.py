"""The pipeline as one table: the rows of all sections, in the order in which their stages run."""

from emberline.errors import ConfigError
from emberline.sections import (
    als,
    attributes,
    cnn,
    content,
    cosine,
    evaluate,
    explain,
    export,
    forest,
    images,
    noise,
    predict,
    privacy,
    ratings,
    recommend,
    report,
    shards,
    shop,
    sounds,
    split,
)
from emberline.sections.config import Config
from emberline.sections.stage import Stage

_BEFORE_REPORT: tuple[Stage, ...] = (
    shop.STAGE,
    ratings.STAGE,
    split.STAGE,
    attributes.STAGE,
    images.STAGE,
    sounds.STAGE,
    als.STAGE,
    cosine.STAGE,
    shards.STAGE,
    cnn.STAGE,
    predict.STAGE,
    export.STAGE,
    content.STAGE,
    content.BLEND_STAGE,
    forest.STAGE,
    recommend.HOLDOUT_STAGE,
    recommend.REFIT_STAGE,
    privacy.STAGE,
    noise.STAGE,
    recommend.STAGE,
    explain.STAGE,
    evaluate.BASELINES_STAGE,
    evaluate.STAGE,
    report.OVERLAYS_STAGE,
)

STAGES: tuple[Stage, ...] = (*_BEFORE_REPORT, report.stage_after(_BEFORE_REPORT))


def in_pipeline(config: Config) -> list[Stage]:
    """The stages whose section the pipeline file has, in the order in which they run."""
    return [stage.placed(config) for stage in STAGES if stage.is_in(config)]


def select(config: Config, only: str | None = None, start: str | None = None) -> list[Stage]:
    """The pipeline's stages, or those whose names `only` has, with commas between them, or those
    from `start` on. Raises ConfigError for an unknown name.
    """
    stages = in_pipeline(config)
    if not stages:
        raise ConfigError(
            "the pipeline has no stage: add one of the sections"
            f" {', '.join(dict.fromkeys(s.section for s in STAGES))}"
        )
    if only and start:
        raise ConfigError("--only and --from exclude each other")
    names = [stage.name for stage in stages]
    wanted = [name.strip() for name in only.split(",")] if only else [start] if start else []
    for name in wanted:
        if name not in names:
            raise ConfigError(
                f"{name} is not a stage of this pipeline (its stages: {', '.join(names)})"
            )
    if only:
        return [stage for stage in stages if stage.name in wanted]
    return stages[names.index(start) :] if start else stages


def producer(config: Config, name: str) -> str:
    """The stage that writes the dataset `name`, for error messages."""
    return next(
        (stage.name for stage in STAGES if name in stage.writes(config)),
        f"the stage that writes {name}",
    )


def needed_for(config: Config, name: str) -> list[Stage]:
    """A stage of the pipeline, after those whose outputs it is made from, in their order."""
    found: list[Stage] = []
    wanted: set[str] = set()
    for stage in reversed(in_pipeline(config)):
        if stage.name == name or wanted & {*stage.writes(config)}:
            found.insert(0, stage)
            wanted |= {*stage.reads(config)}
    return found


def varying(config: Config, chosen: list[Stage], sections: frozenset[str]) -> set[str]:
    """The names of those of the chosen stages whose outputs change with the settings of some
    sections: theirs, and what is made from what they write.
    """
    found, written = set[str](), set[str]()
    for stage in chosen:
        if stage.section in sections or written & {*stage.reads(config)}:
            found.add(stage.name)
            written |= {*stage.writes(config)}
    return found
