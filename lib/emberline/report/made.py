"""How what the page shows was made: each stage's run, when it began, how long it took, and the
settings that are not defaults.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from emberline import stages
from emberline.datasets.manifest import ProducedBy
from emberline.errors import EmberlineError
from emberline.launch.memory import gib
from emberline.logs import is_secret, public
from emberline.report.text import moment, started
from emberline.runs import status
from emberline.runs.roots import Roots
from emberline.runs.status import Status
from emberline.sections.base import Section
from emberline.sections.config import Config
from emberline.sections.stage import Stage

_LONGEST = 120  # characters of a value


@dataclass(frozen=True)
class Setting:
    """A setting that is not its default: what it is, and what it would be, None where it has to
    be given.
    """

    name: str
    value: str
    default: str | None


@dataclass(frozen=True)
class Made:
    """One stage's run; `took` and `held`, of memory, are empty where its status is of another
    run.
    """

    stage: str
    run_id: str
    began: str
    took: str
    held: str
    settings: list[Setting]


def made(roots: Roots, config: Config) -> list[Made]:
    """The last run of each of the pipeline's stages, in their order, also of those whose tables
    the page does not read.
    """
    runs = (
        (stage, _run_of(roots, stage.writes(config)[0]))
        for stage in stages.in_pipeline(config)
        if stage.name != "report"
    )
    return [_made(roots, stage, by) for stage, by in runs if by is not None]


def _run_of(roots: Roots, name: str) -> ProducedBy | None:
    """The run that wrote a dataset; None where that is not there, which is for the stages that
    read it to say.
    """
    try:
        found = roots.load(name)
        return None if found is None else found.manifest.produced_by
    except EmberlineError:
        return None


def total(runs: list[Made], roots: Roots) -> tuple[str, str]:
    """How long those runs took together, and the most memory that one of them held, as far as it
    is known.
    """
    ended = [_ended(roots, run.stage, run.run_id) for run in runs]
    seconds = sum(found.seconds for found in ended if found)
    peak = max((found.peak_bytes or 0 for found in ended if found), default=0)
    return duration(seconds) if seconds else "", gib(peak) if peak else ""


def duration(seconds: float) -> str:
    """Such as 4.2 s, 3 min 20 s or 2 h 5 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _made(roots: Roots, stage: Stage, by: ProducedBy) -> Made:
    ended = _ended(roots, stage.name, by.run_id)
    took = duration(ended.seconds) if ended and ended.seconds else ""
    held = gib(ended.peak_bytes) if ended and ended.peak_bytes else ""
    settings = changed(stage.section, by.config)
    return Made(stage.name, by.run_id, moment(started(by.run_id)), took, held, settings)


def _ended(roots: Roots, stage: str, run_id: str) -> Status | None:
    """How a run ended; None where its status is not there any more."""
    for place in roots.places:
        found = status.read(place, stage)
        if found is not None and found.run_id == run_id:
            return found
    return None


def changed(section: str, config: Mapping[str, Any]) -> list[Setting]:
    """The settings of a run's section that are not defaults, those of tables within it by names
    such as holdout.by.
    """
    model = _model_in(Config.model_fields[section].annotation)
    return [*_changed(model, config, "")] if model else []


def _changed(model: type[Section], config: Mapping[str, Any], prefix: str) -> Iterator[Setting]:
    for name, value in config.items():
        field = model.model_fields.get(name)
        below = _model_in(field.annotation) if field else None
        if below and value:
            tables = [value] if isinstance(value, dict) else value
            for place, table in enumerate(tables, start=1):
                yield from _changed(
                    below,
                    table,
                    f"{prefix}{name}." if len(tables) == 1 else f"{prefix}{name}.{place}.",
                )
        elif value is not None and (
            field is None or field.is_required() or _default(field) != value
        ):
            usual = None if field is None or field.is_required() else _shown(name, _default(field))
            yield Setting(prefix + name, _shown(name, value), usual)


def _model_in(annotation: Any) -> type[Section] | None:
    """The section that a field holds, alone, in a list, or where there is one; None for a plain
    value, and for one by names of the user's own.
    """
    if get_origin(annotation) is dict:
        return None
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_model_in, getattr(annotation, "__args__", ()))), None)


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    return list(value) if isinstance(value, tuple) else value


def _shown(name: str, value: Any) -> str:
    if is_secret(name):
        return "***"
    text = public(
        "none"
        if value is None
        else value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False)
    )
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
