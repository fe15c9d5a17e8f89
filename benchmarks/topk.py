"""Top-10 of users x items at rank 64, seen items removed: Emberline's on this machine's cores and
on Spark, against MLlib's and `implicit`'s, beside the bare product.

- emberline begins with Parquet of factors and ratings, arranges both, and ends with Parquet of the
  lists, as the stage does.
- mllib is ALSModel.recommendForUserSubset, from and to Parquet like ours; it does not remove what
  was seen.
- implicit is its recommend() in this process, a thread per core, from factors and a matrix of seen
  items in memory.
- arithmetic is our product, mask and selection in this process, a thread per core, from arrays in
  memory: the rest of
  emberline's time is reading, arranging, and Spark.
- gemm is nothing but the product, in the same pieces: what none of them can be faster than.

"quality" is the share of 200 users whose list is that of a sort of all their scores in float64,
equal within 1e-5. "gflops" is 2 x users x items x rank floating-point operations over the time.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import data
import harness
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from data import Ratings
from harness import Figures, Report, Subject
from implicit.cpu.topk import topk as implicit_topk
from pyspark.ml.recommendation import ALSModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy import sparse
from threadpoolctl import threadpool_limits

from emberline.cf.entries import Entries
from emberline.cf.scoring import BEST
from emberline.cf.topk import Excluded, TopK, lists
from emberline.datasets.manifest import load
from emberline.datasets.schema import TABLES
from emberline.flow.here import Here
from emberline.flow.rows import Flow
from emberline.numeric.arrays import Float32
from emberline.scoring.topk import (
    ROWS_PER_BLOCK,
    excluded_pieces,
    item_pieces,
    top_products,
    user_pieces,
)
from emberline.spark.flow import SparkFlow

Lists = dict[int, list[int]]

RANK, K, JUDGED = 64, 10, 200
TILE_ROWS, TILE_COLUMNS = 256, 2048
MEMORY = 6 << 30
_WHOLE_LISTS = 1e-5


@dataclass(frozen=True)
class Case:
    """Factors of users (m, RANK) and items (n, RANK), what the users have seen (m, n), and the
    root whose datasets hold them.
    """

    users: Float32
    items: Float32
    seen: sparse.csr_matrix
    root: Path


def made(ratings: Ratings, num_users: int, root: Path) -> Case:
    """The first users and what they have rated, with random factors; a user likes about the
    same items as others do.
    """
    rng = np.random.default_rng(1)
    users, items = (
        rng.standard_normal((n, RANK), np.float32) for n in (num_users, ratings.num_items)
    )
    users[:, 0] = np.abs(users[:, 0])
    of_these = ratings.user < num_users
    user, item = ratings.user[of_these], ratings.item[of_these]
    seen = sparse.csr_matrix(
        (ratings.value[of_these], (user, item)), shape=(num_users, ratings.num_items)
    )
    Ratings(user, item, ratings.value[of_these], num_users, ratings.num_items).publish(root)
    for name, factors in (("user_factors", users), ("item_factors", items)):
        table = pa.table(
            [pa.array(np.arange(len(factors), dtype=np.int32)), pa.array(list(factors))],
            schema=TABLES[name],
        )
        data.publish(root, table, name, num_parts=4, rank=RANK)
    return Case(users, items, seen, root)


# --------------------------------------------------------------------------------------------------
# subjects


def here(case: Case) -> Callable[[], Lists]:
    """Ours on threads of this process."""
    with Here(MEMORY, harness.CORES) as flow:
        return emberline(case, flow)


def emberline(case: Case, flow: Flow) -> Callable[[], Lists]:
    names = ("user_factors", "item_factors", "ratings")
    users, items, ratings = (flow.read(load(case.root, name)) for name in names)
    left = user_pieces(users).union(excluded_pieces(ratings))
    best = top_products(left, item_pieces(items), K)
    shutil.rmtree(case.root / "emberline", ignore_errors=True)
    best.write(case.root / "emberline", BEST)

    def judged() -> Lists:
        table = pq.read_table(case.root / "emberline")
        chosen = table.filter(pc.is_in(table["row"], pa.array(_judged(case), pa.int32())))
        rows = chosen.sort_by([("row", "ascending"), ("rank", "ascending")]).to_pylist()
        return {
            user: [row["column"] for row in rows if row["row"] == user] for user in _judged(case)
        }

    return judged


def mllib(case: Case, session: SparkSession) -> Callable[[], Lists]:
    model = _mllib_model(case, session)
    best = model.recommendForUserSubset(_factors(case, session, "user").select("user"), K)
    written = _written(best, case.root / "mllib")

    def judged() -> Lists:
        rows = written(session).where(F.col("user").isin(_judged(case))).collect()
        return {row["user"]: [pair["item"] for pair in row["recommendations"]] for row in rows}

    return judged


def _mllib_model(case: Case, session: SparkSession) -> ALSModel:
    """A model of our factors, by the constructor that its own fit() calls."""
    sides = ((name, _factors(case, session, name)) for name in ("user", "item"))
    factors = [
        side.select(F.col(name).alias("id"), F.col("factors").alias("features"))._jdf
        for name, side in sides
    ]
    jvm = session.sparkContext._jvm
    assert jvm is not None
    model = jvm.org.apache.spark.ml.recommendation.ALSModel("als", RANK, *factors)
    return ALSModel(model.setUserCol("user").setItemCol("item").setPredictionCol("rating"))


def _factors(case: Case, session: SparkSession, side: str) -> DataFrame:
    return session.read.parquet(str(data.folder_of(load(case.root, f"{side}_factors"))))


def _written(frame: DataFrame, path: Path) -> Callable[[SparkSession], DataFrame]:
    frame.write.mode("overwrite").parquet(str(path))
    return lambda session: session.read.parquet(str(path))


def implicit(case: Case) -> Callable[[], Lists]:
    with threadpool_limits(1, "blas"):
        ids, _ = implicit_topk(
            case.items, case.users, K, filter_query_items=case.seen, num_threads=harness.CORES
        )
    return lambda: {user: ids[user].tolist() for user in _judged(case)}


def arithmetic(case: Case) -> Callable[[], Lists]:
    found = _in_threads(case, _best_of)
    rows, columns, _, _ = lists(np.concatenate(found))
    starts = np.searchsorted(rows, np.arange(len(case.users) + 1))
    return lambda: {
        user: columns[starts[user] : starts[user + 1]].tolist() for user in _judged(case)
    }


def _best_of(case: Case, first: int) -> npt.NDArray[np.uint64]:
    rows = slice(first, first + ROWS_PER_BLOCK)
    users, seen = case.users[rows], case.seen[rows].tocoo()
    excluded = Excluded(np.arange(len(users), dtype=np.int32), Entries(seen.row, seen.col).block())
    best = TopK(len(users), K)
    for row, column, scores in _tiles(users, case.items):
        columns = np.arange(column, column + scores.shape[1], dtype=np.int32)
        excluded.mask(row, scores, columns)
        best.add(row, scores, columns)
    return best.keys


def gemm(case: Case) -> None:
    _in_threads(
        case,
        lambda case, first: [
            None for _ in _tiles(case.users[first : first + ROWS_PER_BLOCK], case.items)
        ],
    )


def _tiles(users: Float32, items: Float32) -> Iterator[tuple[int, int, Float32]]:
    for column in range(0, len(items), TILE_COLUMNS):
        for row in range(0, len(users), TILE_ROWS):
            yield (
                row,
                column,
                users[row : row + TILE_ROWS] @ items[column : column + TILE_COLUMNS].T,
            )


def _in_threads(case: Case, work: Callable[[Case, int], Any]) -> list[Any]:
    """What `work` gives for each block of users, in their order."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(harness.CORES) as pool:
        return list(pool.map(partial(work, case), range(0, len(case.users), ROWS_PER_BLOCK)))


# --------------------------------------------------------------------------------------------------
# quality


def _judged(case: Case) -> list[int]:
    return (
        np.random.default_rng(2)
        .choice(len(case.users), min(JUDGED, len(case.users)), replace=False)
        .tolist()
    )


def judge(case: Case, removes_seen: bool, judged: Callable[[], Lists]) -> Figures:
    found = judged()
    users = _judged(case)
    return {
        "quality": float(
            np.mean([_is_right(case, user, found[user], removes_seen) for user in users])
        )
    }


def _is_right(case: Case, user: int, found: list[int], removes_seen: bool) -> bool:
    """Whether a list has the scores of the best, one by one."""
    scores = case.items.astype(np.float64) @ case.users[user].astype(np.float64)
    if removes_seen:
        scores[case.seen[[user]].indices] = -np.inf
    best = np.sort(scores)[::-1][:K]
    return len(set(found)) == K and bool(np.all(np.abs(scores[found] - best) <= _WHOLE_LISTS))


# --------------------------------------------------------------------------------------------------
# cases


def measure(
    report: Report, session: SparkSession, name: str, millions: float, num_users: int
) -> None:
    """One case, whose data is only made if `--only` leaves it in."""
    if not report.wants(name):
        return
    ratings = data.sized(round(millions * 1e6))
    with TemporaryDirectory(prefix="emberline-bench-") as folder:
        case = made(ratings, num_users, Path(folder))
        judged = partial(judge, case, True)
        subjects = [
            Subject("emberline", partial(here, case), judged, uses_spark=False),
            Subject("on Spark", partial(emberline, case, SparkFlow(session)), judged),
            Subject("mllib", partial(mllib, case, session), partial(judge, case, False), rounds=1),
            Subject(
                "implicit", partial(implicit, case), partial(judge, case, True), uses_spark=False
            ),
            Subject(
                "arithmetic",
                partial(arithmetic, case),
                partial(judge, case, True),
                uses_spark=False,
            ),
            Subject("gemm", partial(gemm, case), uses_spark=False),
        ]
        row = report.compare(name, subjects)
        flop = 2 * RANK * num_users * ratings.num_items
        rates = {
            who: flop / figures["seconds"] / 1e9
            for who, figures in ({"emberline": row} | row["peers"]).items()
        }
        row["gflops"] = rates
        report.console.print(
            "gflops: " + ", ".join(f"{who} {rate:,.0f}" for who, rate in rates.items()) + "\n"
        )


def main() -> None:
    options = harness.options(__doc__)
    sizes = [(1.0, 6_250)] if options.quick else [(1.0, 6_250), (4.0, 25_000), (16.0, 60_000)]
    names = {
        size: f"top-{K} {users:,} users x {round(5_000 * size**0.5):,} items rank {RANK}"
        for size, users in sizes
    }
    with harness.spark(options) as session, harness.report(options) as report:
        measure(report.unseen(), session, "warm-up", 0.4, 2_500)
        for size, users in sizes:
            measure(report, session, names[size], size, users)
        pairs = [(users * round(5_000 * size**0.5), names[size]) for size, users in sizes]
        report.growth("top-k, of users x items", pairs)


if __name__ == "__main__":
    main()
