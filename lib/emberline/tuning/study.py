"""A study at work: asks what to try, runs it, and tells what came of it, trial by trial.

Each trial that has ended is a file; what is asked depends on these files, the seed and the trial's
number alone. So a study that was killed goes on with the same trials as if it had not been.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from emberline.datasets import storage
from emberline.datasets.measures import Measured
from emberline.errors import ConfigError, EmptyDatasetError, TrainingError
from emberline.logs import event, public
from emberline.tuning import rungs, sampler
from emberline.tuning import trial as trials
from emberline.tuning.header import Header
from emberline.tuning.measuring import Measuring
from emberline.tuning.trial import Rung, Trial

log = logging.getLogger(__name__)
_FAILURES = (ConfigError, EmptyDatasetError, TrainingError)  # that are a trial's, not the study's


class Watcher(Protocol):
    """Somebody who wants to see trials end."""

    def ended(self, trial: Trial, of: int) -> None: ...


@dataclass
class _Attempt:
    """A trial at work: how far it has come."""

    number: int
    parameters: dict[str, Any]
    rungs: list[Rung] = field(default_factory=list)
    last: Measured | None = None
    error: str | None = None
    seconds: float = 0.0

    def result(self, is_complete: bool) -> Trial:
        """What its file says."""
        found, seconds = self.last, round(self.seconds, 3)
        if self.error is not None or found is None:
            error = self.error or "nothing was measured"
            return Trial(
                self.number, self.parameters, "failed", None, None, self.rungs, seconds, error
            )
        if not is_complete:
            return Trial(self.number, self.parameters, "halted", None, None, self.rungs, seconds)
        value, wide = found.value, found.standard_error
        return Trial(self.number, self.parameters, "complete", value, wide, self.rungs, seconds)


@dataclass
class Study:
    """The trials of a study, of which `known` have ended."""

    header: Header
    measuring: Measuring
    defaults: dict[str, Any]
    known: dict[int, Trial]
    pool: ThreadPoolExecutor

    def run(self, count: int, watcher: Watcher) -> None:
        """Go on until so many trials have ended: the defaults first, then as many at once as the
        study has in parallel.
        """
        while (first := self._first_missing(count)) is not None:
            batch = self._batch(first, count)
            asked = self._ask(batch)
            for number, parameters in zip(batch, asked, strict=True):
                if number in self.known and self.known[number].parameters != parameters:
                    raise ConfigError(
                        f"trial {number} of {self.measuring.folder} has other parameters than this"
                        " version of optuna asks for: begin another study by --study"
                    )
            self._run_batch(
                [
                    _Attempt(number, parameters)
                    for number, parameters in zip(batch, asked, strict=True)
                ],
                count,
                watcher,
            )

    def _first_missing(self, count: int) -> int | None:
        return next((number for number in range(count) if number not in self.known), None)

    def _batch(self, number: int, count: int) -> range:
        """The numbers of the trials that are asked for at once with this one."""
        size = self.header.parallel
        first = 0 if number == 0 else (number - 1) // size * size + 1
        return range(first, min(count, first + size if number else 1))

    def _ask(self, batch: Sequence[int]) -> list[dict[str, Any]]:
        if batch[0] == 0:
            return [self.defaults]
        before = [self.known[number] for number in range(batch[0])]
        header = self.header
        asked = sampler.ask(before, header.space, header.seed, batch, header.lower_is_better)
        return asked

    def _run_batch(self, attempts: list[_Attempt], count: int, watcher: Watcher) -> None:
        """Rung by rung, so that who goes on does not depend on who was quicker."""
        at_work = [one for one in attempts if one.number not in self.known]
        others = list(self.known.values())
        for budget in self.header.budgets:
            list(self.pool.map(partial(self._climb, budget=budget), at_work))
            going = [one for one in at_work if one.error is None]
            is_last = budget == self.header.budgets[-1]
            if not is_last:
                reached = _reached(others, budget)
                reached |= {one.number: one.last.value for one in going if one.last}
                going = [one for one in going if self._goes_on(one.number, reached)]
            for one in at_work:
                if one not in going or is_last:
                    self._tell(one, is_last and one in going, count, watcher)
            at_work = going

    def _goes_on(self, number: int, reached: Mapping[int, float]) -> bool:
        """The defaults always do, and who is good enough beside those of smaller numbers."""
        others = [value for other, value in reached.items() if other < number]
        return number == 0 or rungs.goes_on(reached[number], others, self.header.lower_is_better)

    def _climb(self, one: _Attempt, budget: int) -> None:
        """Measure a trial with a budget."""
        root = f"{trials.FOLDER}/{one.number:05d}"
        place = self.measuring.folder / root
        storage.remove_folder(place)  # what a killed attempt has left
        rationed = {self.header.rationed: budget} if self.header.rationed else {}
        began = time.monotonic()
        try:
            one.last = self.measuring.measure({**one.parameters, **rationed}, root)
            one.rungs.append(Rung(budget, one.last.value))
        except _FAILURES as error:
            if one.number == 0:
                raise
            one.error = public(error)
        one.seconds += time.monotonic() - began
        storage.remove_folder(place)

    def _tell(self, one: _Attempt, is_complete: bool, count: int, watcher: Watcher) -> None:
        trial = one.result(is_complete)
        trials.write(self.measuring.folder, trial)
        self.known[trial.number] = trial
        facts = {"trial": trial.number, "state": trial.state, "value": trial.value}
        log.info(event("trial_ended", **facts, **trial.parameters))
        watcher.ended(trial, count)


def _reached(known: Sequence[Trial], budget: int) -> dict[int, float]:
    """By number, what trials have reached with a budget."""
    return {
        trial.number: rung.value for trial in known for rung in trial.rungs if rung.budget == budget
    }
