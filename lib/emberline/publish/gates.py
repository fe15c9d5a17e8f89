"""Conditions under which a release replaces the one before: its measures against numbers, that
one's, or a baseline's.

ndcg@10 >= 0.9 * previous          a metric of the published model
ndcg@10 >= 1.2 * most-popular      against another model of the same report
cnn.recall@20/n > 0.2              of another model
cold items:random.auc < 0.55       of one report, where several have the name
rows.recommendations >= 1000       the rows of a table
"""

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emberline.datasets.measures import Reports
from emberline.datasets.released import Measure, Verdict
from emberline.errors import ConfigError

# of the smaller one's ratings: a log that grows, or whose window moves, stays comparable
LEAST_SHARED = 0.5
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
PREVIOUS = "previous"
_MODEL = r"[a-z][a-z0-9-]*"
_NUMBER = r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?"
_GATE = re.compile(
    rf"\s*(?P<name>[^<>=!~≤≥]+?)\s*(?P<compare>[<>]=?)\s*"
    rf"(?:(?P<factor>{_NUMBER})(?:\s*\*\s*(?P<times>{_MODEL}))?|(?P<alone>{_MODEL}))\s*"
)
_OPERATOR = re.compile(r"[<>=!~≤≥]+")


@dataclass(frozen=True)
class Gate:
    """`name compare factor`, or `factor` times the value `of` the previous release, or of
    another model of the report.
    """

    text: str
    name: str
    compare: str
    factor: float
    of: str | None


def parse(text: str) -> Gate:
    """Raises ConfigError for what is no gate."""
    found = _GATE.fullmatch(text)
    if found is None:
        _refuse_operator(text)
        raise ConfigError(
            f"gate {text!r}: expected something like 'ndcg@10 >= 0.9 * previous' or"
            " 'rows.recommendations >= 1000'"
        )
    of = found["times"] or found["alone"]
    return Gate(text.strip(), found["name"], found["compare"], float(found["factor"] or 1), of)


def _refuse_operator(text: str) -> None:
    """Raises ConfigError where a gate compares by something else than it can."""
    found = _OPERATOR.search(text)
    if found and found[0] not in _COMPARE:
        raise ConfigError(
            f"gate {text!r}: {found[0]} does not compare; write one of {', '.join(_COMPARE)}"
        )


def measures(reports: Reports, rows: Mapping[str, int]) -> dict[str, Measure]:
    """All numbers of a release under their full names, `<report>:<model>.<metric>` and
    `rows.<table>`.
    """
    measured = {
        f"{name}:{row.model}.{row.metric}": Measure(row.value, report.protocol.hash, report.data)
        for name, report in reports.items()
        for row in report.metrics
    }
    return measured | {f"rows.{table}": Measure(count) for table, count in rows.items()}


def judge(
    gates: Sequence[Gate],
    now: Mapping[str, Measure],
    before: Mapping[str, Measure] | None,
    model: str | None,
) -> list[Verdict]:
    """Each gate's verdict on a release whose lists are by `model`. Raises ConfigError for a name
    that is not measured.
    """
    return [_judge(gate, resolve(gate.name, now, model), now, before) for gate in gates]


def resolve(name: str, known: Mapping[str, Measure], model: str | None) -> str:
    """The full name of what a gate names. Raises ConfigError where there is none, or more than
    one.
    """
    wanted = [name, *([f"{model}.{name}"] if model else [])]
    found = [full for full in known if full in wanted or full.partition(":")[2] in wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"gate on {name!r}: that is one of {', '.join(map(repr, found))}; say which"
        )
    raise ConfigError(f"gate on {name!r}: that is not measured; {_nearest(name, known)}")


def _nearest(name: str, known: Mapping[str, Measure]) -> str:
    """The measures whose names are most like it."""
    short = {full.partition(":")[2] or full: full for full in known}
    close = difflib.get_close_matches(
        name, [*short, *(text.partition(".")[2] for text in short)], n=4, cutoff=0.4
    )
    return (
        f"what is, and has a name like it: {', '.join(dict.fromkeys(close))}"
        if close
        else f"there are {len(known)} measures"
    )


def _judge(
    gate: Gate, name: str, now: Mapping[str, Measure], before: Mapping[str, Measure] | None
) -> Verdict:
    measure = now[name]
    if gate.of is None:
        return _compared(gate, measure.value, gate.factor)
    if gate.of != PREVIOUS:
        return _compared(gate, measure.value, gate.factor * now[_beside(gate, name, now)].value)
    if before is None:
        return Verdict(gate.text, measure.value, None, True, "there is no previous release")
    if name not in before:
        return Verdict(
            gate.text, measure.value, None, False, "the previous release does not have it"
        )
    if before[name].protocol != measure.protocol:
        reason = (
            f"measured by protocol {measure.protocol}, the previous release by"
            f" {before[name].protocol}"
        )
        return Verdict(gate.text, measure.value, None, False, reason)
    if (share := _shared(measure, before[name])) < LEAST_SHARED:
        reason = (
            "measured on other data: of the previous release's and these, the smaller has"
            f" {share:.0%} in common with the larger"
        )
        return Verdict(gate.text, measure.value, None, False, reason)
    return _compared(gate, measure.value, gate.factor * before[name].value)


def _shared(now: Measure, before: Measure) -> float:
    """What share of the data that two measures are of is the same; all of them, where one does
    not say.
    """
    return now.data.shared_with(before.data) if now.data and before.data else 1.0


def _beside(gate: Gate, name: str, now: Mapping[str, Measure]) -> str:
    """The full name of the gate's metric of the model that it is compared with. Raises
    ConfigError where there is none.
    """
    report, _, of_model = name.partition(":")
    model, _, metric = of_model.partition(".")
    wanted = f"{report}:{gate.of}.{metric}"
    if wanted in now:
        return wanted
    others = [
        full.partition(":")[2].removesuffix(f".{metric}")
        for full in now
        if full.endswith(f".{metric}")
    ]
    known = ", ".join([PREVIOUS, *(other for other in others if other != model)])
    raise ConfigError(
        f"gate {gate.text!r}: {gate.of} has no {metric or gate.name}; what it may be compared with:"
        f" {known}"
    )


def _compared(gate: Gate, value: float, limit: float) -> Verdict:
    # not a number fits no limit
    return Verdict(gate.text, value, limit, _COMPARE[gate.compare](value, limit))
