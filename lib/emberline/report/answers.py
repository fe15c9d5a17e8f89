"""What readers ask first: is it better than before, is it better than baselines, and can that
be trusted?
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from emberline.datasets.measures import Reports
from emberline.publish.standing import Standing
from emberline.report.earlier import Change, Comparison
from emberline.report.gains import Gain

_WORDS = {"better": "better", "undecided": "no better or worse", "worse": "worse"}
# worse where anything is; and then better where anything is, or where all is
_ANY: tuple[Standing, ...] = ("worse", "better", "undecided")
_ALL: tuple[Standing, ...] = ("worse", "undecided", "better")


@dataclass(frozen=True)
class Answer:
    """A question, and what is said to it; `verdict` where that is one."""

    question: str
    words: str
    verdict: Standing | None = None


def answers(
    gains: Sequence[Gain], comparisons: Mapping[str, Comparison], reports: Reports
) -> list[Answer]:
    """None where no model stands beside a baseline."""
    if not gains:
        return []
    return [_than_before(gains, comparisons), _than_baselines(gains), _trust(gains, reports)]


def _than_before(gains: Sequence[Gain], comparisons: Mapping[str, Comparison]) -> Answer:
    question = "Better than before?"
    if not comparisons:
        return Answer(question, "There is no earlier evaluation here to compare with.")
    found = [(gain, change) for gain in gains if (change := _change(gain, comparisons))]
    if not found:
        said = dict.fromkeys(comparison.sentence for comparison in comparisons.values())
        return Answer(question, " ".join(said))
    words = "; ".join(f"{gain.heading}: {_told(change)}" for gain, change in found)
    verdicts = {change.verdict for _, change in found}
    return Answer(question, f"{words}.", _overall(verdicts, _ANY))


def _overall(verdicts: Collection[Standing], order: tuple[Standing, ...]) -> Standing:
    """The first of the order that is among the verdicts."""
    return next(one for one in order if one in verdicts)


def _change(gain: Gain, comparisons: Mapping[str, Comparison]) -> Change | None:
    last = comparisons.get(gain.key)
    changes = last.changes if last else []
    wanted = (gain.metric, gain.model)
    return next((one for one in changes if (one.metric, one.model) == wanted), None)


def _told(change: Change) -> str:
    return f"{_WORDS[change.verdict]}, {change.metric} {change.told}"


def _than_baselines(gains: Sequence[Gain]) -> Answer:
    verdicts = [gain.verdict for gain in gains]
    better = verdicts.count("better")
    words = f"Yes, by all {better} measures" if better > 1 else "Yes"
    if better < len(gains):
        others = [f"{gain.heading} ({gain.metric})" for gain in gains if gain.verdict != "better"]
        words = f"By {better} of {len(gains)} measures; not: {', '.join(others)}"
    return Answer("Better than the baselines?", f"{words}.", _overall(verdicts, _ALL))


def _trust(gains: Sequence[Gain], reports: Reports) -> Answer:
    question = "Can I trust that?"
    if not all(gain.interval for gain in gains):
        return Answer(question, "Of some figures no interval is known: evaluate again.")
    over = "; ".join(dict.fromkeys(f"{gain.heading}, {gain.over}" for gain in gains))
    tests = sum(len(report.comparisons) for report in reports.values())
    paired = f" Differences are on the same ones, and p counts all {tests} that were tested."
    words = f"No model has seen what it is measured on ({over}). Intervals are of 95 %."
    return Answer(question, f"{words}{paired if tests else ''}")
