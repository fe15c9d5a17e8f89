"""Alternating least squares: Emberline's on this machine's cores and on Spark, against MLlib's, and
against `implicit` in one process, at equal objectives.

Every subject begins with the same Parquet files, has the same cores, and ends with both sides'
factors. What they reached is computed here, by one function for all: "quality" is the minimised sum
per rating, lower is better.

- fit implicit: Hu, Koren and Volinsky (2008), regularisation times a row's number of ratings, as
  MLlib has it. Peer: MLlib.
- fit unscaled: the same, regularisation as it is, as `implicit` has it. Peer: implicit (3 steps of
  conjugate gradients), where it is installed.
- fit explicit: ALS-WR, Zhou et al. (2008). Peer: MLlib.

1 M, 4 M and 16 M generated ratings, and MovieLens and Online Retail where they are at hand. At 16
M, MLlib takes part with
--full only, with 2 iterations. "iteration s" is an iteration's mean; MLlib does not tell, so it is
the difference to a fit of 1. "packing s" is the rest: reading, arranging the ratings, and what
follows the last iteration.

--figure FILE draws the chart of docs/clusters.md.
"""

import argparse
import importlib.util
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import chart
import data
import harness
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from data import Ratings
from harness import Figures, Report, Subject
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession
from threadpoolctl import threadpool_limits

from emberline.datasets import manifest as datasets
from emberline.factors import fit as als_fit
from emberline.flow.here import Here
from emberline.flow.rows import Flow
from emberline.numeric.arrays import Float32
from emberline.sections.als import AlsConfig, RatingFactorsConfig
from emberline.spark.flow import SparkFlow

RANK = 64
SEED = 1
MLLIB_MILLIONS = 4
MEMORY = 6 << 30
HAS_IMPLICIT = importlib.util.find_spec("implicit") is not None
FIGURE_MILLIONS = (0.1, 0.3, 1, 3)
_TITLES = {
    "implicit": "regularised as by MLlib",
    "unscaled": "regularised as by implicit",
}
_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class Problem:
    """What is minimised: the sum of c (p - x.y)^2, plus reg_param times that of n^reg_exponent
    |x|^2 over the rows of both sides.

    Explicit: over the ratings, c = 1, p the value. Implicit: over all pairs, c = 1 + alpha * value
    and p = 1 where there is a rating, c = 1 and p = 0 elsewhere. n is the row's number of ratings.
    """

    name: str
    feedback: data.Feedback
    reg_param: float
    reg_exponent: float
    alpha: float = 10.0


IMPLICIT = Problem("implicit", "implicit", reg_param=0.02, reg_exponent=1)
UNSCALED = Problem("unscaled", "implicit", reg_param=1.0, reg_exponent=0)
EXPLICIT = Problem("explicit", "explicit", reg_param=0.05, reg_exponent=1)


@dataclass(frozen=True)
class Dataset:
    """Ratings by name, made or read when needed; None where they are not at hand. MLlib is too
    slow for some.
    """

    name: str
    load: Callable[[], Ratings | None]
    with_mllib: bool = True


@dataclass(frozen=True)
class Case:
    """One table: who fits what, `ratings` being `stored`, for how many iterations."""

    problem: Problem
    ratings: Ratings
    stored: datasets.Dataset
    iterations: int


@dataclass(frozen=True)
class Fit:
    """What a subject hands back; its factors, (num_users, rank) and (num_items, rank), and
    further figures when asked for.
    """

    seconds: float
    factors: Callable[[], tuple[Float32, Float32]]
    figures: Callable[[], Figures]


def loss(problem: Problem, ratings: Ratings, user_factors: Float32, item_factors: Float32) -> float:
    """What the problem minimises, in float64, for factors (num_users, rank) and (num_items, rank).

    The sum of (x.y)^2 over all pairs is the sum of the products of both gramians' elements.
    """
    x, y = user_factors.astype(np.float64), item_factors.astype(np.float64)
    total = float(((x.T @ x) * (y.T @ y)).sum()) if problem.feedback == "implicit" else 0.0
    for start in range(0, len(ratings), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        value = ratings.value[rows].astype(np.float64)
        score = np.einsum("nk,nk->n", x[ratings.user[rows]], y[ratings.item[rows]])
        if problem.feedback == "implicit":
            total += float(((1 + problem.alpha * value) * (1 - score) ** 2 - score**2).sum())
        else:
            total += float(((value - score) ** 2).sum())
    for factors, index in ((x, ratings.user), (y, ratings.item)):
        scale = (
            np.bincount(index, minlength=len(factors)).astype(np.float64) ** problem.reg_exponent
        )
        total += problem.reg_param * float(scale @ (factors**2).sum(axis=1))
    return total


def here(case: Case) -> Fit:
    """Ours on threads of this process."""
    with Here(MEMORY, harness.CORES) as flow:
        return emberline(case, flow)


def emberline(case: Case, flow: Flow) -> Fit:
    """Ours, with the stage's own defaults beyond the problem: it stores its state every few
    iterations, too.
    """
    problem, folder = case.problem, Path(str(case.stored.folder.parent)) / "emberline"
    objective = {
        "reg_param": problem.reg_param,
        "reg_exponent": problem.reg_exponent,
        "alpha": problem.alpha,
    }
    ratings_config = RatingFactorsConfig(biases=False)
    config = AlsConfig(
        rank=RANK,
        iterations=case.iterations,
        seed=SEED,
        confidence="linear",
        ratings=ratings_config,
        **objective,
    )
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    model = als_fit.fit(
        flow,
        flow.read(case.stored),
        config,
        problem.feedback == "implicit",
        folder / "work",
        folder / "scratch",
    )
    seconds = time.perf_counter() - start
    sides = (("user", case.ratings.num_users), ("item", case.ratings.num_items))
    user_factors, item_factors = (
        _dense(model.factors(side).table(), side, "factors", num_rows) for side, num_rows in sides
    )
    model.close()
    history = [row["seconds"] for row in model.history]
    return Fit(seconds, lambda: (user_factors, item_factors), lambda: _split(seconds, history))


def mllib(case: Case, session: SparkSession) -> Fit:
    """MLlib's ALS; its blocks and partitions are its defaults."""
    problem = case.problem
    assert problem.reg_exponent == 1
    solver = ALS(
        userCol="user",
        itemCol="item",
        ratingCol="value",
        rank=RANK,
        maxIter=case.iterations,
        regParam=problem.reg_param,
        alpha=problem.alpha,
        implicitPrefs=problem.feedback == "implicit",
        seed=SEED,
    )
    start = time.perf_counter()
    model = solver.fit(session.read.parquet(str(data.folder_of(case.stored))))
    seconds = time.perf_counter() - start

    def figures() -> Figures:
        shortest = mllib(replace(case, iterations=1), session)
        return {"iteration_seconds": (seconds - shortest.seconds) / (case.iterations - 1)}

    def factors() -> tuple[Float32, Float32]:
        sides = (
            (model.userFactors, case.ratings.num_users),
            (model.itemFactors, case.ratings.num_items),
        )
        user_factors, item_factors = (
            _dense(side.select("id", "features").toArrow(), "id", "features", num_rows)
            for side, num_rows in sides
        )
        return user_factors, item_factors

    return Fit(seconds, factors, figures)


def implicit(case: Case) -> Fit:
    """`implicit` in this process, a thread per core; its BLAS has one, as it asks for."""
    from implicit.als import AlternatingLeastSquares

    problem, seconds = case.problem, []
    assert problem.reg_exponent == 0 and problem.feedback == "implicit"
    start = time.perf_counter()
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            RANK,
            problem.reg_param,
            iterations=case.iterations,
            num_threads=harness.CORES,
            random_state=SEED,
        )
        confidence = data.read_csr(case.stored, case.ratings.num_users, case.ratings.num_items)
        confidence.data = 1 + problem.alpha * confidence.data
        model.fit(
            confidence,
            show_progress=False,
            callback=lambda iteration, elapsed, loss: seconds.append(elapsed),
        )
    whole = time.perf_counter() - start
    return Fit(
        whole, lambda: (model.user_factors, model.item_factors), lambda: _split(whole, seconds)
    )


def judge(case: Case, fit: Fit) -> Figures:
    """The columns of the table beyond the whole fit's time and memory."""
    return fit.figures() | {
        "quality": loss(case.problem, case.ratings, *fit.factors()) / len(case.ratings)
    }


def _split(whole: float, iterations: list[float]) -> Figures:
    return {
        "iteration_seconds": float(np.mean(iterations)),
        "packing_seconds": whole - sum(iterations),
    }


def _dense(table: pa.Table, index: str, column: str, num_rows: int) -> Float32:
    """(num_rows, rank): a row of zeros for what has no factors."""
    dense = np.zeros((num_rows, RANK), np.float32)
    dense[table[index].to_numpy()] = pc.list_flatten(table[column]).to_numpy().reshape(-1, RANK)
    return dense


def subjects(case: Case, session: SparkSession, with_mllib: bool) -> list[Subject]:
    """Ours, and the peer that minimises the same."""
    judged = partial(judge, case)
    on_spark = partial(emberline, case, SparkFlow(session))
    found = [
        Subject("emberline", partial(here, case), judged, uses_spark=False),
        Subject("on Spark", on_spark, judged),
    ]
    if case.problem is UNSCALED and HAS_IMPLICIT:
        found.append(Subject("implicit", partial(implicit, case), judged, uses_spark=False))
    elif case.problem is not UNSCALED and with_mllib:
        found.append(Subject("mllib", partial(mllib, case, session), judged, rounds=1))
    return found


def measure(
    report: Report,
    session: SparkSession,
    dataset: Dataset,
    problems: list[Problem],
    iterations: int,
) -> None:
    """The cases of one dataset, which is made or read only if `--only` leaves any of them in."""
    names = {
        f"fit {problem.name} {dataset.name} rank {RANK} iterations {iterations}": problem
        for problem in problems
    }
    wanted = {name: problem for name, problem in names.items() if report.wants(name)}
    if not wanted or not (ratings := dataset.load()):
        return
    with data.published(ratings) as stored:
        for name, problem in wanted.items():
            case = Case(problem, ratings, stored, iterations)
            report.compare(name, subjects(case, session, dataset.with_mllib))


def generated(millions: float, feedback: data.Feedback, with_mllib: bool = True) -> Dataset:
    return Dataset(
        f"{millions:g}M", partial(data.sized, round(millions * 1e6), feedback), with_mllib
    )


def draw(report: Report, path: Path) -> None:
    """The seconds of all subjects over millions of ratings, a panel for each way to regularise."""
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in report.rows:
        _, problem, size, *_ = row["case"].split()
        lines = panels.setdefault(_TITLES[problem], {})
        for name, figures in {row["subject"]: row, **row["peers"]}.items():
            point = (float(size.removesuffix("M")), figures["seconds"])
            lines.setdefault(name, []).append(point)
    chart.draw(path, panels, "million ratings")


def figure(report: Report, session: SparkSession, options: argparse.Namespace) -> None:
    """The chart, of generated ratings."""
    problems = [IMPLICIT, UNSCALED] if HAS_IMPLICIT else [IMPLICIT]
    measure(report.unseen(), session, generated(0.02, "implicit"), problems, 2)
    for size in FIGURE_MILLIONS[:3] if options.quick else FIGURE_MILLIONS:
        measure(report, session, generated(size, "implicit"), problems, 5)
    draw(report, options.figure)


def sizes(report: Report, session: SparkSession, millions: list[float], first: float) -> None:
    """All problems on so many millions of generated ratings, and how time grows with them; before,
    everybody has a first fit, which nobody sees.
    """
    implicit_problems = [IMPLICIT, UNSCALED]
    measure(report.unseen(), session, generated(first, "implicit"), implicit_problems, 2)
    for size in millions:
        is_for_mllib = size <= MLLIB_MILLIONS
        measure(report, session, generated(size, "implicit", is_for_mllib), implicit_problems, 5)
        measure(report, session, generated(size, "explicit", is_for_mllib), [EXPLICIT], 5)
    for problem in (*implicit_problems, EXPLICIT):
        name = f"fit {problem.name} {{:g}}M rank {RANK} iterations 5"
        report.growth(
            f"fit {problem.name}", [(round(size * 1e6), name.format(size)) for size in millions]
        )


def main() -> None:
    options = harness.options(
        __doc__, figure="seconds over ratings, of 0.1 M to 3 M (quick: 1 M), and nothing else"
    )
    with harness.spark(options) as session, harness.report(options) as report:
        if options.figure:
            figure(report, session, options)
            return
        every, first = ([0.1], 0.02) if options.quick else ([1, 4, 16], 0.2)
        sizes(report, session, every, first)
        if not options.quick:
            for millions in (4, 16):
                measure(report, session, generated(millions, "implicit"), [UNSCALED], 15)
            measure(report, session, Dataset("movielens", data.movielens), [EXPLICIT], 5)
            measure(report, session, Dataset("retail", data.retail), [IMPLICIT, UNSCALED], 5)
        if options.full:
            measure(report, session, generated(16, "implicit"), [IMPLICIT], 2)
            measure(report, session, generated(16, "explicit"), [EXPLICIT], 2)


if __name__ == "__main__":
    main()
