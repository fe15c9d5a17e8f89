"""Measure subjects side by side: seconds, peak memory and what they reached, as a table and as rows
of JSON.

A script builds `Subject`s, the first of which is ours, and hands them case by case to
`Report.compare`:

    options = harness.options(__doc__)
    with harness.spark(options) as session, harness.report(options) as report:
        subjects = [Subject("emberline", ours, judge), Subject("mllib", peer, judge)]
        report.compare("fit implicit 4M rank 64", subjects)

Subjects whose memory must be their own, or whose frameworks disturb each other, live `apart`, each
in a process of its own.
"""

import argparse
import gc
import json
import math
import multiprocessing
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # scripts without Spark need not load it
    from pyspark.sql import SparkSession

CORES = len(os.sched_getaffinity(0))
Figures = dict[str, float]
Row = dict[str, Any]
_SAMPLE_SECONDS = 0.2


def options(
    doc: str | None, with_spark: bool = True, figure: str | None = None
) -> argparse.Namespace:
    """What the command line says: json (Path or None), quick, full, only (words), repeats
    (int), for Spark master, memory, and where a script can draw a `figure` (Path or None).
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=_new_file, metavar="FILE", help="write the rows there too")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small data, within a minute")
    size.add_argument("--full", action="store_true", help="the slow peers on the largest data too")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="WORD",
        help="only the cases whose name has all of these words",
    )
    parser.add_argument(
        "--repeats",
        type=_positive,
        default=1,
        metavar="N",
        help="interleaved rounds of which medians are taken",
    )
    if figure:
        parser.add_argument("--figure", type=Path, metavar="FILE", help=f"draw {figure}")
    if with_spark:
        parser.add_argument(
            "--master", default=f"local[{CORES}]", help="Spark's master (default: %(default)s)"
        )
        parser.add_argument(
            "--memory", default="6g", help="Spark's driver memory (default: %(default)s)"
        )
    return parser.parse_args()


@contextmanager
def spark(options: argparse.Namespace) -> Iterator["SparkSession"]:
    """A session with the product's own settings, for all subjects that need Spark."""
    from emberline.sections.spark import SparkConfig
    from emberline.spark import session as sessions

    started = sessions.start(SparkConfig(master=options.master, driver_memory=options.memory))
    try:
        yield started
    finally:
        started.stop()


@dataclass(frozen=True)
class Subject:
    """What is compared. `run` is measured and must have done all its work when it returns (Spark is
    lazy: count, or collect).

    `judge` gets what run returned, is not measured, and answers with figures: "quality", and what
    else is worth a column. Figures that end in "seconds" get ratios too. `rounds` limits how often
    a slow subject takes part. Memory is counted for this process alone where `uses_spark` is False;
    Spark, idle meanwhile, is not the subject's. No DataFrame is cached when a run begins. What
    `measures_itself` returns its figures, seconds among them, and is not judged.
    """

    name: str
    run: Callable[[], Any]
    judge: Callable[[Any], Figures] = lambda result: {}
    rounds: int = 1_000
    uses_spark: bool = True
    measures_itself: bool = False


@contextmanager
def apart(makers: Sequence[Callable[[], Subject]]) -> Iterator[list[Subject]]:
    """Subjects that are made, run and judged each in a process of its own, which stays until the
    block ends.

    Besides seconds they have cpu_seconds, of all threads, and peak_mib, all that the process holds
    while it runs.
    """
    with ExitStack() as stack:
        subjects = []
        for maker in makers:
            process = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            stack.callback(process.shutdown)
            name = process.submit(_begin, maker).result()
            subjects.append(Subject(name, partial(_ask, process), measures_itself=True))
        yield subjects


_own: list[Subject] = []  # in a process of `apart`: the one that it is for


def _begin(maker: Callable[[], Subject]) -> str:
    _own.append(maker())
    return _own[0].name


def _ask(process: ProcessPoolExecutor) -> Figures:
    return process.submit(_measure_own).result()


def _measure_own() -> Figures:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak, VmHWM, begins anew
    start, cpu_start = time.perf_counter(), time.process_time()
    result = _own[0].run()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak_mib = int(status["VmHWM"].split()[0]) / 1024
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mib": peak_mib,
        **_own[0].judge(result),
    }


@dataclass
class Report:
    """The rows measured so far, each printed at once."""

    console: Console
    only: Sequence[str] = ()
    repeats: int = 1
    rows: list[Row] = field(default_factory=list)

    def wants(self, case: str) -> bool:
        """Whether `--only` leaves this case in: ask before preparing its data."""
        return all(word in case.split() for word in self.only)

    def unseen(self) -> "Report":
        """One that forgets its rows, for a first run on little data: else who comes first pays
        for Java's warming up.
        """
        return Report(Console(quiet=True))

    def compare(self, case: str, subjects: Sequence[Subject], rounds: int = 1) -> Row:
        """Run the subjects in turn, and add the row: medians, and peers' seconds over the first's.

        So many rounds, of short runs more than one, are made `--repeats` times.
        """
        runs: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
        for number in range(rounds * self.repeats):
            for subject in subjects:
                if number < subject.rounds:
                    runs[subject.name].append(_measure(subject))
        row = compared(case, runs)
        self.rows.append(row)
        self.console.print(_table(row))
        return row

    def growth(self, name: str, cases: Sequence[tuple[int, str]]) -> None:
        """Print by how much each subject's time grew per factor of size, over `cases` (size,
        name of case): 1 is linear.
        """
        found = {row["case"]: _figures_of(row) for row in self.rows}
        sizes = [(size, found[case]) for size, case in sorted(cases) if case in found]
        for (small, before), (large, after) in pairwise(sizes):
            growth = {
                who: _exponent(large / small, after[who], before[who])
                for who in after
                if who in before
            }
            text = ", ".join(f"{who} {value:.2f}" for who, value in growth.items())
            self.console.print(
                f"{name}: from {small:,} to {large:,}, time grows with the power of {text}"
            )
            self.rows.append({"case": f"{name} growth {small:,} to {large:,}", "exponents": growth})


@contextmanager
def report(options: argparse.Namespace) -> Iterator[Report]:
    """A report that writes `--json FILE` when the script is through, also when a case failed."""
    made = Report(
        Console(width=None if sys.stdout.isatty() else 140), options.only, options.repeats
    )
    try:
        yield made
        if not any("peers" in row for row in made.rows):
            made.console.print(
                f"No case was measured; --only {' '.join(made.only)}: these words are in no case's"
                " name."
            )
    finally:
        if options.json:
            options.json.write_text(json.dumps(made.rows, indent=1) + "\n", encoding="utf-8")


def compared(case: str, runs: dict[str, list[Figures]]) -> Row:
    """One row: medians of the first subject's figures and of its peers', and median ratios of
    the runs made side by side.
    """
    (ours, own_runs), *others = runs.items()
    peers = {name: _medians(theirs) for name, theirs in others}
    timed = [key for key in own_runs[0] if key.endswith("seconds")]
    ratios = {
        key: {name: _ratio(key, own_runs, theirs) for name, theirs in others if key in theirs[0]}
        for key in timed
    }
    row = {
        "case": case,
        "subject": ours,
        **_medians(own_runs),
        "peers": peers,
        "ratios": ratios.pop("seconds"),
    }
    return row | {f"{key}_ratios": ratio for key, ratio in ratios.items()}


def _measure(subject: Subject) -> Figures:
    _settle()
    if subject.measures_itself:
        figures: Figures = subject.run()
        return figures
    with PeakMemory(subject.uses_spark) as memory:
        start = time.perf_counter()
        result = subject.run()
        seconds = time.perf_counter() - start
    return {"seconds": seconds, **memory.peaks(), **subject.judge(result)}


def _settle() -> None:
    """Give back what the subject before has left: Python's garbage, and the JVM's."""
    gc.collect()
    if "pyspark" not in sys.modules:
        return
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.catalog.clearCache()
        assert session.sparkContext._jvm is not None
        session.sparkContext._jvm.System.gc()


class PeakMemory:
    """Samples resident MiB while the block runs: of this process what it grew by, of its JVM all,
    and of Python workers.

    Workers count from their first work in the block, those left idle by an earlier subject do not.
    Pages that forked workers share are counted once for each of them.
    """

    def __init__(self, with_spark: bool = True) -> None:
        self._with_spark = with_spark
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._start = _resident(os.getpid())
        self._idle = {process.pid: process.ticks for process in _descendants(os.getpid())}
        self._peaks = {"peak_mib": 0.0, "driver_mib": 0.0, "workers_mib": 0.0}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def peaks(self) -> Figures:
        """driver_mib of this process and its JVM, workers_mib of Spark's Python workers,
        peak_mib of both at one moment.
        """
        return dict(self._peaks)

    def _sample(self) -> None:
        while True:
            processes = list(_descendants(os.getpid())) if self._with_spark else []
            workers = [
                each
                for each in processes
                if each.command != "java" and each.ticks > self._idle.get(each.pid, -1)
            ]
            driver = max(_resident(os.getpid()) - self._start, 0) + _sum(
                each for each in processes if each.command == "java"
            )
            for key, now in (
                ("peak_mib", driver + _sum(workers)),
                ("driver_mib", driver),
                ("workers_mib", _sum(workers)),
            ):
                self._peaks[key] = max(self._peaks[key], now)
            if self._ended.wait(_SAMPLE_SECONDS):
                return


class _Process(NamedTuple):
    pid: int
    command: str
    ticks: int  # of its CPU time


def _descendants(ancestor: int) -> Iterator[_Process]:
    """All processes below one."""
    children: dict[int, list[_Process]] = {}  # by parent
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
        except OSError:
            continue  # it has ended
        pid, _, command = head.partition(" (")
        numbers = tail.split()  # from the third field of proc(5) on: state, parent, ...
        children.setdefault(int(numbers[1]), []).append(
            _Process(int(pid), command, int(numbers[11]) + int(numbers[12]))
        )
    found = children.get(ancestor, [])
    for process in found:
        found += children.get(process.pid, [])
    yield from found


def _sum(processes: Iterable[_Process]) -> float:
    return sum(_resident(process.pid) for process in processes)


def _resident(pid: int) -> float:
    try:
        return (
            int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            * os.sysconf("SC_PAGE_SIZE")
            / 2**20
        )
    except OSError:
        return 0.0  # it has ended


def _medians(runs: list[Figures]) -> Figures:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def _ratio(key: str, own_runs: list[Figures], peer_runs: list[Figures]) -> float:
    return statistics.median(
        peer[key] / own[key] for peer, own in zip(peer_runs, own_runs, strict=False)
    )


def _figures_of(row: Row) -> dict[str, float]:
    """Seconds by subject; nothing for a row that is not a comparison."""
    return (
        {
            row["subject"]: row["seconds"],
            **{name: peer["seconds"] for name, peer in row["peers"].items()},
        }
        if "peers" in row
        else {}
    )


def _exponent(growth: float, after: float, before: float) -> float:
    return math.log(after / before) / math.log(growth)


def _table(row: Row) -> Table:
    table = Table(
        title=row["case"],
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    subjects = {row["subject"]: row, **row["peers"]}
    figures = dict.fromkeys(
        key for subject in subjects.values() for key in subject if isinstance(subject[key], float)
    )
    ratios = [key for key in row if key.endswith("ratios")]
    table.add_column("")
    for key in (*figures, *(key.removesuffix("s") for key in ratios)):
        table.add_column(_heading(key), justify="right", no_wrap=True)
    for name, subject in subjects.items():
        numbers = [subject.get(key) for key in figures] + [row[key].get(name) for key in ratios]
        table.add_row(name, *("" if number is None else f"{number:,.4g}" for number in numbers))
    return table


def _heading(key: str) -> str:
    return (
        key.replace("seconds_ratio", "ratio")
        .replace("seconds", "s")
        .replace("mib", "MiB")
        .replace("_", " ")
    )


def _new_file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(
            f"{path} cannot be written: its folder is absent, or it is one"
        )
    return path


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)
