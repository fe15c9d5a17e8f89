"""What a study has found: the defaults and the winner by what trials were chosen by, and by the
holdout, which no trial has seen.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import Any

from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.logs import may_be_secret, one_line
from emberline.pipelines import with_setting
from emberline.tuning import toml

FILE, WINNER, PAGE = "outcome.json", "winner.toml", "study.html"
AS_GOOD = "the defaults are as good"


@dataclass(frozen=True)
class Figure:
    """What settings reached: by `validation`, and by the holdout."""

    validation: float
    holdout: float
    holdout_error: float | None

    @property
    def gap(self) -> float:
        """By how much the holdout's is less than validation's."""
        return self.holdout - self.validation


@dataclass(frozen=True)
class Difference:
    """The winner's metric less that of the defaults on the holdout, paired, with the interval that
    it lies in at 95 %.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, interval: list[float] | None) -> "Difference | None":
        """None without an interval."""
        return cls(value, *interval) if interval else None

    @property
    def includes_zero(self) -> bool:
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Outcome:
    """The best trial, what it and the defaults reached, how sure it is that they differ, and which
    of its parameters lie at the edge of their range.
    """

    metric: str
    model: str
    lower_is_better: bool
    trials: int
    winner: int
    parameters: dict[str, Any]
    defaults: Figure
    best: Figure
    difference: Difference | None
    importances: dict[str, float]
    edges: list[str] = field(default_factory=list)

    @property
    def is_better(self) -> bool:
        """Whether the winner is better than the defaults, beyond doubt."""
        found = self.difference
        if self.winner == 0 or found is None or found.includes_zero:
            return False
        return (found.value < 0) == self.lower_is_better

    @property
    def sentence(self) -> str:
        """The verdict, as it stands alone."""
        return f"{self.verdict[0].upper()}{self.verdict[1:]}."

    @property
    def verdict(self) -> str:
        """Whether the winner is better, and how sure that is."""
        if self.winner == 0:
            return f"{AS_GOOD}: no trial was better"
        found = self.difference
        if found is None:
            return f"{AS_GOOD}, as far as can be told: the difference has no interval"
        told = f"{found.value:+.4f}, 95 % interval {found.low:+.4f} to {found.high:+.4f}"
        if found.includes_zero:
            return f"{AS_GOOD}: on the holdout the winner differs by {told}, which includes zero"
        if self.is_better:
            return f"the winner is better than the defaults on the holdout, by {told}"
        return f"the winner is worse than the defaults on the holdout, by {told}: keep the defaults"

    @property
    def advice(self) -> str:
        """What to try next, where that can be told."""
        if not self.edges:
            return ""
        return (
            f"The best lies at the edge of its range: {', '.join(self.edges)}. Better may be beyond"
            " it: give a wider one by --space."
        )


def shown(value: Any) -> str:
    """A parameter's value, numbers to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write(study: Location, found: Outcome, content: Mapping[str, Any], name: str) -> None:
    """What was found, and the winner as a pipeline file that says how it was found."""
    storage.replace_file(study / FILE, json.dumps(asdict(found), indent=1).encode())
    storage.replace_file(study / WINNER, winner(found, content, name).encode())


def winner(found: Outcome, content: Mapping[str, Any], name: str) -> str:
    """A pipeline file: `content` with the winner's settings."""
    places = {"root": str(storage.locate(content["root"]))}
    changed = reduce(with_setting, found.parameters.items(), {**content, **places})
    told = [
        f"{name}, tuned for {found.metric} of {found.model}: trial {found.winner} of"
        f" {found.trials}.",
        found.sentence,
        *([found.advice] if found.advice else []),
        *(f"{key} = {json.dumps(value)}" for key, value in found.parameters.items()),
    ]
    lines = (f"# {one_line(line)}" for line in told)
    return "\n".join([*lines, "", toml.written(_without_secrets(changed))])


def _without_secrets(content: Mapping[str, Any]) -> dict[str, Any]:
    """What may be one is left out of [spark.conf]: it is not stored a second time."""
    spark = content.get("spark")
    if not isinstance(spark, dict) or not isinstance(spark.get("conf"), dict):
        return dict(content)
    conf = {key: value for key, value in spark["conf"].items() if not _may_be_secret(key, value)}
    return {**content, "spark": {**spark, "conf": conf}}


def _may_be_secret(key: str, value: Any) -> bool:
    return not isinstance(value, str) or may_be_secret(key, value)
