"""How what the page shows was made: each stage's run, when it began, how long it took, and the settings that are not defaults."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emberline import stages, status
from emberline.config import Config, Model
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import ProducedBy
from emberline.datasets.storage import Location
from emberline.errors import EmberlineError
from emberline.logs import is_secret, public
from emberline.report.text import moment, started
from emberline.stages import Stage

_LONGEST = 120  # characters of a value


@dataclass(frozen=True)
class Setting:
    """A setting that is not its default: what it is, and what it would be, None where it has to be given."""

    name: str
    value: str
    default: str | None


@dataclass(frozen=True)
class Made:
    """One stage's run; `took` is empty where its status is of another run."""

    stage: str
    run_id: str
    began: str
    took: str
    settings: list[Setting]


def made(root: Location, config: Config) -> list[Made]:
    """The last run of each of the pipeline's stages, in their order, also of those whose tables the page does not read."""
    runs = ((stage, _run_of(root, stage.writes(config)[0])) for stage in stages.in_pipeline(config) if stage.name != "report")
    return [_made(root, stage, by) for stage, by in runs if by is not None]


def _run_of(root: Location, name: str) -> ProducedBy | None:
    """The run that wrote a dataset; None where that is not there, which is for the stages that read it to say."""
    try:
        return manifests.load(root, name).manifest.produced_by
    except EmberlineError:
        return None


def total(runs: list[Made], root: Location) -> str:
    """How long those runs took together, as far as it is known."""
    seconds = [_seconds(root, run.stage, run.run_id) for run in runs]
    return duration(sum(found for found in seconds if found is not None)) if any(seconds) else ""


def duration(seconds: float) -> str:
    """Such as 4.2 s, 3 min 20 s or 2 h 5 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _made(root: Location, stage: Stage, by: ProducedBy) -> Made:
    seconds = _seconds(root, stage.name, by.run_id)
    took = "" if seconds is None else duration(seconds)
    return Made(stage.name, by.run_id, moment(started(by.run_id)), took, changed(stage.section, by.config))


def _seconds(root: Location, stage: str, run_id: str) -> float | None:
    """How long a run took; None where its status is not there any more."""
    found = status.read(root, stage)
    return found.seconds or None if found is not None and found.run_id == run_id else None


def changed(section: str, config: Mapping[str, Any]) -> list[Setting]:
    """The settings of a run's section that are not defaults, those of tables within it by names such as holdout.by."""
    given, usual = _flat(config), _flat(_defaults(_section(section)))
    return [
        Setting(name, _shown(name, value), _shown(name, usual[name]) if name in usual else None)
        for name, value in given.items()
        if value is not None and (name not in usual or usual[name] != value)
    ]


def _section(name: str) -> type[Model]:
    options = getattr(Config.model_fields[name].annotation, "__args__", ())
    return next(option for option in options if isinstance(option, type) and issubclass(option, Model))


def _defaults(section: type[Model]) -> dict[str, Any]:
    fields = {name: field for name, field in section.model_fields.items() if not field.is_required()}
    values = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    return value.what() if isinstance(value, Model) else list(value) if isinstance(value, tuple) else value


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {prefix + key: value}
    return flat


def _shown(name: str, value: Any) -> str:
    if is_secret(name):
        return "***"
    text = public(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
