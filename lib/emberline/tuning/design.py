"""What a study will do, decided before anything runs: its trials' pipeline, its space, and what is
rationed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emberline import pipelines
from emberline.errors import ConfigError
from emberline.models import ALS, CNN
from emberline.sections.config import Config
from emberline.tuning import rungs, sets, space
from emberline.tuning.aim import VARIED, Aim, aim_of, reduced
from emberline.tuning.header import Header
from emberline.tuning.space import Parameter


@dataclass(frozen=True)
class Options:
    """What whoever starts a study says of it."""

    metric: str | None = None
    model: str | None = None
    space: Path | None = None
    seed: int = 1
    parallel: int = 1
    halving: bool = True


@dataclass(frozen=True)
class Design:
    """A study's header and aim, the `content` of its trials' pipeline, the sections that are other
    ones for the `final` figure, the parameters of the `defaults`, and what trials are
    `measured_by`, in words.
    """

    header: Header
    aim: Aim
    content: dict[str, Any]
    final: dict[str, Any]
    defaults: dict[str, Any]
    measured_by: str


def design(content: Mapping[str, Any], name: str, options: Options) -> Design:
    """Raises ConfigError where the pipeline, the metric and the space do not fit together."""
    config = pipelines.config_of(dict(content), name)
    aim = aim_of(config, options.metric or usual_metric(config), options.model)
    less = reduced(content, config, aim)
    small = pipelines.config_of(dict(less), name)
    changed = sets.for_trials(config, aim)
    final = {section: less.get(section) or {} for section in changed}
    varied = _space(options, small, aim)
    rationed = _rationed(varied, small) if options.halving else None
    most = space.value_of(small, rationed) if rationed else 0
    trials = {**less, **{name: _changed(final[name], each) for name, each in changed.items()}}
    settings = pipelines.config_of(dict(trials), name).what()
    header = Header(
        pipeline=name.removesuffix(".toml"),
        metric=aim.metric,
        model=aim.model,
        lower_is_better=aim.lower_is_better,
        seed=options.seed,
        parallel=options.parallel,
        rationed=rationed,
        budgets=rungs.budgets(most) if rationed else [0],
        space=list(varied),
        settings=settings,
    )
    defaults = {one.name: space.value_of(small, one.name) for one in varied}
    return Design(header, aim, trials, final, defaults, sets.told(config, changed))


def usual_metric(config: Config) -> str:
    """What is compared where nobody says."""
    if config.evaluate and config.recommend:
        return f"ndcg@{config.evaluate.k[0]}"
    return "auc" if config.measures_cold_items else "accuracy"


def default_space(config: Config, aim: Aim) -> list[Parameter]:
    """What the settings that the aim's model is made by are worth trying at."""
    found = [one for one in space.default(config, aim.own) if aim.depends_on(one.name)]
    if not found:
        raise ConfigError(f"no setting of {aim.model} has a default space: give one by --space")
    return found


def _space(options: Options, config: Config, aim: Aim) -> list[Parameter]:
    if options.space is None:
        return default_space(config, aim)
    found = space.read(options.space)
    for one in found:
        if one.name.partition(".")[0] not in VARIED:
            raise ConfigError(
                f"{options.space.name}: {one.name} decides on the data, or on how they are"
                f" measured; a study varies settings of {', '.join(VARIED)}"
            )
        if not aim.depends_on(one.name):
            raise ConfigError(
                f"{options.space.name}: {one.name} changes nothing of {aim.metric} of {aim.model}:"
                " remove it"
            )
    space.check(found, config)
    rationed = _rationed(found, config)
    if options.halving and any(one.name == rationed for one in found):
        raise ConfigError(
            f"{options.space.name}: {rationed} is what successive halving rations, from"
            f" {space.value_of(config, rationed or '')} down: remove it, or give --no-halving"
        )
    return found


def _rationed(varied: Sequence[Parameter], config: Config) -> str | None:
    """The setting of which bad trials get less: epochs where a network is varied, iterations where
    ALS is.
    """
    sections = {one.name.partition(".")[0] for one in varied}
    if CNN.name in sections:
        return f"{CNN.name}.epochs"
    if ALS.name in sections and config.als and config.als.iterations:
        return f"{ALS.name}.iterations"
    return None


def _changed(section: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    validation = {**(section.get("validation") or {}), **(changed.get("validation") or {})}
    more = {"validation": validation} if validation else {}
    return {**section, **changed, **more}
