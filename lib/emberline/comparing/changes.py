"""What differs between two runs: settings, code, data, and how things were measured."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emberline import stages
from emberline.comparing.run import Run
from emberline.datasets.measures import Report
from emberline.errors import DataError
from emberline.logs import is_secret
from emberline.publish.gates import LEAST_SHARED

NOT_SET = "not set"
_MOST_TOLD = 8  # facts that differ, in one message


@dataclass(frozen=True)
class Change:
    """A setting of a stage, then and now."""

    stage: str
    setting: str
    before: str
    now: str


def changed_settings(before: Run, now: Run) -> list[Change]:
    """In the order in which stages run; of a stage that only one of the runs has, that."""
    then, since = before.made_by(), now.made_by()
    order = [stage.name for stage in stages.STAGES if stage.name in then.keys() | since.keys()]
    return [change for name in order for change in _of_stage(name, then.get(name), since.get(name))]


def _of_stage(stage: str, before: Any, now: Any) -> Iterator[Change]:
    if before is None or now is None:
        states = ("not run" if by is None else "run" for by in (before, now))
        yield Change(stage, "", *states)
        return
    for name, (then, since) in differing(before.config, now.config).items():
        if is_secret(name.rpartition(".")[2]):
            then = since = "***"
        yield Change(stage, name, then, since)


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """What two JSON objects have that differs, by names such as holdout.by."""
    flat, others = dict(_flat(one)), dict(_flat(other))
    names = [*flat, *(name for name in others if name not in flat)]
    pairs = {name: (flat.get(name, NOT_SET), others.get(name, NOT_SET)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, below in value.items():
        if isinstance(below, dict):
            yield from _flat(below, f"{prefix}{name}.")
        elif below is not None:
            text = below if isinstance(below, str) else json.dumps(below, ensure_ascii=False)
            yield prefix + name, text


def is_other_code(before: Run, now: Run) -> bool:
    """Whether a stage that both have run was run by another version of the package."""
    then, since = before.made_by(), now.made_by()
    return any(then[name].code != since[name].code for name in then.keys() & since.keys())


def comparable(before: Run, now: Run, only: str | None) -> list[str]:
    """The reports that both have, or the one that is asked for. Raises DataError where there is
    none, or where one of them was measured by another protocol or on other data.
    """
    shared = [name for name in now.reports if name in before.reports and only in (None, name)]
    if not shared:
        wanted = f"{only!r}" if only else "the same"
        raise DataError(
            f"{before.roots} and {now.roots} have not measured {wanted}:"
            f" {_names(before)}, and {_names(now)}"
        )
    for name in shared:
        _check_protocol(name, before.reports[name], now.reports[name])
        _check_data(name, before.reports[name], now.reports[name])
    return shared


def _names(run: Run) -> str:
    return f"{run.roots.root.name} has {', '.join(run.reports) or 'no reports'}"


def _check_protocol(name: str, before: Report, now: Report) -> None:
    if before.protocol.hash == now.protocol.hash:
        return
    found = differing(before.protocol.facts, now.protocol.facts)
    told = [f"{fact} is {then!r} and {since!r}" for fact, (then, since) in found.items()]
    more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    raise DataError(
        f"{name}: measured by different protocols, {before.protocol.name!r}"
        f" ({before.protocol.hash}) and {now.protocol.name!r} ({now.protocol.hash}), whose numbers"
        f" say nothing of each other: {'; '.join(told[:_MOST_TOLD])}{more}; measure both in the"
        " same way, or name another report with --report"
    )


def _check_data(name: str, before: Report, now: Report) -> None:
    share = shared_data(before, now)
    if share < LEAST_SHARED:
        raise DataError(
            f"{name}: measured on different data, of which the smaller has {share:.0%} in common"
            " with the larger; compare runs on the same data"
        )


def shared_data(before: Report, now: Report) -> float:
    """Which share of the smaller data is in the larger; all, where one does not say."""
    if before.data is None or now.data is None or before.data.hash == now.data.hash:
        return 1.0
    return now.data.shared_with(before.data)
