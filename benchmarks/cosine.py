"""Each item's 50 nearest by cosine: Emberline's on this machine's cores and on Spark, against
MLlib's, and against sparse-dot-topn and `implicit` in one process.

- emberline begins with Parquet and ends with Parquet, as the stage does. In "damped" cases, pairs
  are shrunk by their support.
- sparse-dot-topn and implicit begin with the same Parquet, have a thread per core, and end with a
  matrix in memory.
- mllib is RowMatrix.columnSimilarities, all pairs of columns, counted: it has no top-k.

Generated ratings: 1 M of 5,000 items, 4 M of 10,000, 16 M of 20,000. MLlib takes part at 0.02 M,
with --full up to 1 M: it makes a pair of objects of every two ratings of a user. "quality" is the
share of 200 items whose similarities are those of scikit-learn, sorted, within 1e-5.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import data
import harness
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from data import Ratings
from harness import Figures, Report, Subject
from implicit.nearest_neighbours import CosineRecommender
from pyspark.ml.linalg import Vectors
from pyspark.mllib.linalg import Vectors as OldVectors
from pyspark.mllib.linalg.distributed import RowMatrix
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import normalize
from sparse_dot_topn import sp_matmul_topn

from emberline.datasets.manifest import Dataset
from emberline.datasets.schema import TABLES
from emberline.flow.here import Here
from emberline.flow.rows import Flow
from emberline.neighbors.search import neighbors
from emberline.numeric.arrays import Float64
from emberline.sections.cosine import CosineConfig
from emberline.spark.flow import SparkFlow

Judge = Callable[[Float64], Figures]

K, JUDGED = 50, 200
MEMORY = 6 << 30
PLAIN, DAMPED = (
    CosineConfig(top_k=K, weighting="none", shrinkage=shrinkage) for shrinkage in (0.0, 10.0)
)


@dataclass(frozen=True)
class Case:
    """Ratings, also `stored`, and the items that are judged."""

    ratings: Ratings
    stored: Dataset
    judged: npt.NDArray[np.int64]

    def matrix(self) -> sparse.csr_matrix:
        """(users, items), read from Parquet."""
        return data.read_csr(self.stored, self.ratings.num_users, self.ratings.num_items).astype(
            np.float64
        )


def here(case: Case, config: CosineConfig, folder: Path) -> Path:
    """Ours on threads of this process."""
    with Here(MEMORY, harness.CORES) as flow:
        return emberline(case, config, flow, folder)


def emberline(case: Case, config: CosineConfig, flow: Flow, folder: Path) -> Path:
    """Ours: the folder of neighbours."""
    shutil.rmtree(folder, ignore_errors=True)
    found = neighbors(flow, flow.read(case.stored), "item", "user", config)
    found.write(folder, TABLES["item_neighbors"])
    return folder


def sparse_dot_topn(case: Case) -> sparse.csr_matrix:
    unit = normalize(case.matrix(), axis=0)
    return sp_matmul_topn(
        unit.T.tocsr(), unit, K + 1, threshold=0.0, sort=True, n_threads=harness.CORES
    )


def implicit(case: Case) -> sparse.csr_matrix:
    model = CosineRecommender(K=K + 1, num_threads=harness.CORES)
    model.fit(case.matrix(), show_progress=False)
    return model.similarity


def mllib(case: Case, session: SparkSession) -> int:
    """How many pairs of items have a similarity."""
    size = case.ratings.num_items
    pairs = F.sort_array(F.collect_list(F.struct("item", "value"))).alias("pairs")
    users = (
        session.read.parquet(str(data.folder_of(case.stored)))
        .groupBy("user")
        .agg(pairs)
        .select("pairs")
        .rdd
    )
    rows = users.map(
        lambda row: OldVectors.fromML(
            Vectors.sparse(size, [(item, value) for item, value in row["pairs"]])
        )
    )
    return RowMatrix(rows, numCols=size).columnSimilarities().entries.count()


def judge_table(case: Case, config: CosineConfig, folder: Path) -> Figures:
    """Of the lists written by ours."""
    table = pq.read_table(folder)
    item, similarity = table["item"].to_numpy(), table["similarity"].to_numpy()
    order = np.lexsort((-similarity, item))
    item, similarity = item[order], similarity[order]
    place = np.arange(len(item)) - np.searchsorted(item, item)
    lists = np.zeros((case.ratings.num_items, K))
    lists[item, place] = similarity
    return _quality(case, config, lists[case.judged])


def judge_matrix(case: Case, similarities: sparse.csr_matrix) -> Figures:
    """Of all pairs' similarities that a peer kept; those of items with themselves do not count."""
    rows = similarities[case.judged].toarray()
    return _quality(case, PLAIN, _best(case, rows))


def _quality(case: Case, config: CosineConfig, lists: Float64) -> Figures:
    """lists: (JUDGED, K), each descending."""
    items = case.matrix().T.tocsr()
    exact = cosine_similarity(items[case.judged], items)
    if config.shrinkage:
        support = (
            (items[case.judged] > 0).astype(np.float64) @ (items > 0).astype(np.float64).T
        ).toarray()
        exact *= support / (support + config.shrinkage)
    return {"quality": float((np.abs(_best(case, exact) - lists).max(axis=1) < 1e-5).mean())}


def _best(case: Case, rows: Float64) -> Float64:
    """The K largest of each row, descending, but for the items themselves."""
    others = rows.copy()
    others[np.arange(len(rows)), case.judged] = 0
    return -np.sort(-others, axis=1)[:, :K]


def measure(
    report: Report, session: SparkSession, millions: float, with_mllib: bool, with_damped: bool
) -> None:
    """The cases of one size."""
    plain, damped = (f"items top-{K} {kind}{millions:g}M" for kind in ("", "damped "))
    if not report.wants(plain) and not report.wants(damped):
        return
    ratings = data.sized(round(millions * 1e6))
    judged = np.random.default_rng(1).choice(ratings.num_items, JUDGED, replace=False)
    with data.published(ratings) as stored, TemporaryDirectory(prefix="emberline-bench-") as name:
        case, target = Case(ratings, stored, judged), Path(name) / "neighbors"
        in_one = partial(judge_matrix, case)
        peers = [
            Subject("sparse-dot-topn", partial(sparse_dot_topn, case), in_one, uses_spark=False)
        ]
        peers.append(Subject("implicit", partial(implicit, case), in_one, uses_spark=False))
        if with_mllib:
            peers.append(Subject("mllib", partial(mllib, case, session), rounds=1))
        for case_name, config, others in ((plain, PLAIN, peers), (damped, DAMPED, peers[:1])):
            judge, on_spark = partial(judge_table, case, config), SparkFlow(session)
            ours = [
                Subject("emberline", partial(here, case, config, target), judge, uses_spark=False),
                Subject("on Spark", partial(emberline, case, config, on_spark, target), judge),
            ]
            if report.wants(case_name) and (config is PLAIN or with_damped):
                report.compare(case_name, [*ours, *others])


def main() -> None:
    options = harness.options(__doc__)
    sizes = [0.02, 0.1] if options.quick else [0.02, 0.1, 1, 4, 16]
    with harness.spark(options) as session, harness.report(options) as report:
        measure(report.unseen(), session, 0.2, False, False)
        for size in sizes:
            measure(report, session, size, size <= (1 if options.full else 0.02), size <= 4)
        report.growth(
            f"items top-{K}", [(round(size * 1e6), f"items top-{K} {size:g}M") for size in sizes]
        )


if __name__ == "__main__":
    main()
