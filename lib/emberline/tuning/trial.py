"""One trial of a study as its file: written once, when the trial has ended, and never changed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from emberline.datasets import storage, typed_json
from emberline.datasets.storage import Location
from emberline.errors import DataError

FOLDER = "trials"
State = Literal["complete", "halted", "failed"]


@dataclass(frozen=True)
class Rung:
    """What a trial reached with a budget of iterations or epochs; 0 where none is rationed."""

    budget: int
    value: float


@dataclass(frozen=True)
class Trial:
    """What was tried and what came of it: `value` is that of the whole budget, None where the
    trial was `halted` before or has `failed`, by the `error` that is said.
    """

    number: int
    parameters: dict[str, Any]
    state: State
    value: float | None
    standard_error: float | None
    rungs: list[Rung] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None


def read(study: Location) -> dict[int, Trial]:
    """The trials of a study, by number. Raises DataError for a file that is none."""
    found = {}
    for path in storage.children(study / FOLDER):
        if path.name.endswith(".json") and not path.name.startswith("."):
            try:
                trial = typed_json.build(Trial, typed_json.read(path))
            except ValueError as error:
                raise DataError(
                    f"{path} is no trial ({error}); remove it, and it is tried again"
                ) from error
            found[trial.number] = trial
    return found


def write(study: Location, trial: Trial) -> None:
    """Whole or not at all."""
    text = json.dumps(asdict(trial), indent=1).encode()
    storage.replace_file(study / FOLDER / f"{trial.number:05d}.json", text)


def best(trials: Mapping[int, Trial], lower_is_better: bool) -> Trial | None:
    """The complete trial of the best value, of equal ones the first; None where there is none."""
    complete = [trial for _, trial in sorted(trials.items()) if trial.value is not None]
    sign = 1 if lower_is_better else -1
    return min(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)
