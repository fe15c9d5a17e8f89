"""A whole study: prepared once, tried, and its winner measured beside the defaults."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from threadpoolctl import threadpool_limits

from emberline import pipelines
from emberline.datasets import lock
from emberline.datasets.storage import Location
from emberline.errors import EmptyDatasetError
from emberline.launch.stop import Stop
from emberline.pipelines import with_setting
from emberline.runs import engines
from emberline.runs.engines import Engines
from emberline.runs.roots import Roots
from emberline.runs.runner import Listener
from emberline.tuning import apart, header, outcome, page, paired, sampler, space, trial
from emberline.tuning.design import Design
from emberline.tuning.measuring import BASE, Measuring
from emberline.tuning.outcome import Difference, Figure, Outcome
from emberline.tuning.study import Study, Watcher
from emberline.tuning.trial import Trial


@dataclass(frozen=True)
class Bench:
    """Where a study works: its folder, the pipeline's file as it is, and who listens."""

    folder: Location
    content: Mapping[str, Any]
    listener: Listener | None = None
    stop: Stop | None = None


def tune(design: Design, bench: Bench, count: int, watcher: Watcher) -> Outcome:
    """Try until so many trials have ended, measure the best and the defaults by the holdout, and
    write the winner as a pipeline.

    Raises ConfigError where the folder has another study, EmptyDatasetError where no trial but the
    defaults came to an end.
    """
    with _opened(design, bench) as (measuring, pool):
        header.check(bench.folder, design.header)
        prepared = measuring.prepare(bench.listener)
        header.begin(bench.folder, replace(design.header, prepared=prepared))
        known = trial.read(bench.folder)
        trials = apart.chosen(measuring, list(prepared))
        study = Study(design.header, trials, design.defaults, known, pool)
        study.run(count, watcher)
        counted = {number: one for number, one in known.items() if number < count}
        found = _measured(design, measuring, counted, bench.listener)
    outcome.write(bench.folder, found, bench.content, design.header.pipeline)
    ended = [counted[number] for number in sorted(counted)]
    page.write(bench.folder, design.header, found, ended, design.measured_by)
    return found


@contextmanager
def _opened(design: Design, bench: Bench) -> Iterator[tuple[Measuring, ThreadPoolExecutor]]:
    """What a study works with, while nobody else works on it; BLAS has one thread in all trials."""
    parallel = design.header.parallel
    with ExitStack() as stack:
        stack.enter_context(lock.hold(bench.folder))
        stack.enter_context(threadpool_limits(1))
        shared = stack.enter_context(Engines())
        pool = stack.enter_context(ThreadPoolExecutor(parallel, "trial"))
        varied = frozenset(one.name.partition(".")[0] for one in design.header.space)
        name, content = design.header.pipeline, _shared_out(design, parallel)
        yield (
            Measuring(bench.folder, name, content, design.aim, varied, shared, bench.stop),
            pool,
        )


def _shared_out(design: Design, parallel: int) -> dict[str, Any]:
    """The trials' pipeline, where each of several at once has its part of this machine's cores."""
    config = pipelines.config_of(dict(design.content), design.header.pipeline)
    if parallel == 1 or not config.spark.is_local:
        return design.content
    cores = max(1, engines.cores_of(config) // parallel)
    return with_setting(design.content, ("spark.master", f"local[{cores}]"))


def _measured(
    design: Design, measuring: Measuring, trials: Mapping[int, Trial], listener: Listener | None
) -> Outcome:
    """The defaults and the best trial, by the holdout."""
    lower = design.header.lower_is_better
    best = trial.best(trials, lower)
    if best is None:
        raise EmptyDatasetError(f"no trial in {measuring.folder} came to an end")
    final = measuring.with_sections(design.final)
    figures = {"defaults": _figure(final, trials[0], "defaults", listener)}
    figures["winner"] = (
        _figure(final, best, "winner", listener) if best.number else figures["defaults"]
    )
    difference = _difference(design, measuring) if best.number else None
    return Outcome(
        metric=design.header.metric,
        model=design.header.model,
        lower_is_better=lower,
        trials=len(trials),
        winner=best.number,
        parameters=best.parameters,
        defaults=figures["defaults"],
        best=figures["winner"],
        difference=difference,
        importances=sampler.importances(trials.values(), design.header.space, lower),
        edges=space.edges(design.header.space, best.parameters) if best.number else [],
    )


def _difference(design: Design, measuring: Measuring) -> Difference | None:
    """Of the winner and the defaults, on the users that both were measured on."""
    base, folder = measuring.folder / BASE, measuring.folder
    defaults, winner = (Roots(folder / name, base) for name in ("defaults", "winner"))
    return paired.difference(defaults, winner, design.aim)


def _figure(final: Measuring, one: Trial, root: str, listener: Listener | None) -> Figure:
    """What a trial's settings reach on the holdout."""
    row = final.measure(one.parameters, root, listener)
    return Figure(one.value or 0.0, row.value, row.standard_error)
