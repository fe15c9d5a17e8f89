"""Ratings to measure on: generated ones of any size, with a few heads and a long tail, and real
ones where they are at hand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from scipy import sparse

from emberline.datasets.manifest import Dataset, Manifest, ProducedBy, commit, load, run_folder
from emberline.datasets.parts import write_part
from emberline.datasets.schema import RATINGS, TABLES, fields_of
from emberline.numeric.arrays import Float32, Int32, Int64

Feedback = Literal["implicit", "explicit"]

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"

# Zipf-Mandelbrot: the k-th of N has a weight of (k + SHIFT * N) ** -EXPONENT. Of 16 M ratings of
# 100,000 users and 20,000 items
# the first item has 23,000, the first hundredth of the items 18 %, the median item 270; the first
# user 4,400, the median user 44.
USER_EXPONENT, USER_SHIFT = 1.4, 0.01
ITEM_EXPONENT, ITEM_SHIFT = 1.2, 0.005
PLANTED_RANK = 8
_ROW_GROUP_ROWS = 131_072
_BLOCK_ROWS = 1 << 20


@dataclass(frozen=True)
class Ratings:
    """Unique pairs in no order: `user` and `item` (n,) int32 below num_users and num_items,
    `value` (n,) float32 > 0.
    """

    user: Int32
    item: Int32
    value: Float32
    num_users: int
    num_items: int

    def __len__(self) -> int:
        return len(self.user)

    def publish(self, root: Path) -> Dataset:
        """The dataset `ratings` of a root, in no order: in 8 parts of row groups of 131,072."""
        no_time = pa.nulls(len(self), RATINGS.field("timestamp").type)
        return publish(
            root,
            pa.table([self.user, self.item, self.value, no_time], schema=RATINGS),
            "ratings",
            num_parts=8,
        )


def publish(
    root: Path,
    table: pa.Table,
    name: str,
    num_parts: int = 1,
    rank: int | None = None,
    **info: object,
) -> Dataset:
    """A dataset of the rows, as if a stage had written it and said `info` of it."""
    run_id = "20250101T000000-00000000"
    folder, schema = root / name / run_folder("0" * 64, run_id), TABLES[name]
    edges = pairwise(np.linspace(0, len(table), num_parts + 1, dtype=np.int64).tolist())
    parts = [
        write_part(_groups(table[start:end]), folder, f"part-{at:05d}", schema)
        for at, (start, end) in enumerate(edges)
    ]
    produced_by = ProducedBy("benchmark", "0" * 64, run_id)
    fields = fields_of(schema)
    commit(
        root,
        Manifest(name, "table", fields, len(table), parts, produced_by, rank=rank, info=info),
    )
    return load(root, name)


def folder_of(dataset: Dataset) -> Path:
    """Where its Parquet files are, for Spark (`spark.read.parquet(str(folder))`), and for
    `read_csr`.
    """
    return Path(str(dataset.paths[0])).parent


def _groups(table: pa.Table) -> list[pa.Table]:
    return [
        table[start : start + _ROW_GROUP_ROWS] for start in range(0, len(table), _ROW_GROUP_ROWS)
    ]


def sized(num_ratings: int, feedback: Feedback = "implicit", seed: int = 1) -> Ratings:
    """Generated ratings in the proportions of all benchmarks: 160 a user, 4 times the items for 16
    times the ratings.

    1 M are of 6,250 users and 5,000 items, 4 M of 25,000 and 10,000, 16 M of 100,000 and 20,000.
    """
    num_items = round(5_000 * (num_ratings / 1e6) ** 0.5)
    return power_law(max(num_ratings // 160, 10), max(num_items, 10), num_ratings, seed, feedback)


def power_law(
    num_users: int, num_items: int, num_ratings: int, seed: int, feedback: Feedback = "implicit"
) -> Ratings:
    """Exactly num_ratings different pairs; users' and items' degrees follow power laws, and a taste
    of rank 8 is planted in them.

    The probability of a pair is popularity of both, times the logistic function of their affinity.
    Implicit values count events (1, 2, ...), more of them where the affinity is high; explicit ones
    are stars from 0.5 to 5 in halves. Raises ValueError where the pairs asked for are more than a
    fourth of all.
    """
    if 4 * num_ratings > num_users * num_items:
        raise ValueError(
            f"{num_ratings:,} ratings of {num_users:,} users and {num_items:,} items: not sparse,"
            " ask for fewer"
        )
    rng = np.random.default_rng(seed)
    tastes = [
        rng.normal(0, PLANTED_RANK**-0.25, (n, PLANTED_RANK)).astype(np.float32)
        for n in (num_users, num_items)
    ]
    pairs = _pairs(rng, num_ratings, *tastes)
    user, item = (part.astype(np.int32) for part in np.divmod(pairs, num_items))
    affinity = _affinity(user, item, *tastes)
    value = (
        _stars(rng, affinity, item, num_items) if feedback == "explicit" else _counts(rng, affinity)
    )
    return Ratings(user, item, value, num_users, num_items)


def movielens() -> Ratings | None:
    """The 100,836 star ratings of movielens-latest-small; None where the folder is absent."""
    file = REAL_DATA / "movielens-latest-small" / "ratings.csv"
    if not file.is_file():
        return None
    table = pcsv.read_csv(file)
    return _indexed(
        table["userId"].to_numpy(), table["movieId"].to_numpy(), table["rating"].to_numpy()
    )


def retail() -> Ratings | None:
    """How often each customer of online-retail bought each item, returns not subtracted; None
    where the folder is absent.
    """
    files = sorted((REAL_DATA / "online-retail").glob("*.csv"))
    if not files:
        return None
    types = pcsv.ConvertOptions(
        column_types={"CustomerID": pa.string(), "StockCode": pa.string(), "Quantity": pa.float64()}
    )
    lines = pa.concat_tables(
        pcsv.read_csv(file, convert_options=types).select(["CustomerID", "StockCode", "Quantity"])
        for file in files
    )
    bought = lines.filter((pc.field("CustomerID") != "") & (pc.field("Quantity") > 0))
    counts = bought.group_by(["CustomerID", "StockCode"]).aggregate([("Quantity", "count")])
    return _indexed(
        *(counts[name].to_numpy() for name in ("CustomerID", "StockCode", "Quantity_count"))
    )


@contextmanager
def published(ratings: Ratings) -> Iterator[Dataset]:
    """The ratings as a dataset, in a temporary root."""
    with TemporaryDirectory(prefix="emberline-bench-") as root:
        yield ratings.publish(Path(root))


def read_csr(ratings: Dataset, num_users: int, num_items: int) -> sparse.csr_matrix:
    """The values as (num_users, num_items) float32, read from Parquet: where a peer in one
    process begins.
    """
    table = pq.read_table(folder_of(ratings), columns=["user", "item", "value"])
    user, item, value = (column.to_numpy() for column in table.columns)
    return sparse.csr_matrix((value, (user, item)), shape=(num_users, num_items), dtype=np.float32)


def _indexed(
    users: npt.NDArray[np.generic], items: npt.NDArray[np.generic], values: npt.NDArray[np.generic]
) -> Ratings:
    (user_ids, user), (item_ids, item) = (
        np.unique(ids, return_inverse=True) for ids in (users, items)
    )
    return Ratings(
        user.astype(np.int32),
        item.astype(np.int32),
        values.astype(np.float32),
        len(user_ids),
        len(item_ids),
    )


def _pairs(
    rng: np.random.Generator, count: int, user_tastes: Float32, item_tastes: Float32
) -> Int64:
    """(count,): different numbers `user * num_items + item`, shuffled."""
    num_items = len(item_tastes)
    user_order, item_order = (rng.permutation(len(tastes)) for tastes in (user_tastes, item_tastes))
    pairs = np.empty(0, np.int64)
    while len(pairs) < count:
        size = 3 * (count - len(pairs)) + count // 10
        user = user_order[_ranks(rng, size, len(user_order), USER_EXPONENT, USER_SHIFT)]
        item = item_order[_ranks(rng, size, len(item_order), ITEM_EXPONENT, ITEM_SHIFT)]
        liked = rng.random(size, np.float32) < _logistic(
            _affinity(user, item, user_tastes, item_tastes)
        )
        pairs = _different(np.concatenate([pairs, user[liked] * num_items + item[liked]]))
    return rng.permutation(pairs)[:count]


def _different(numbers: Int64) -> Int64:
    """(m,): the numbers, ascending, once each. Sorted, as np.unique of NumPy 2.3 and later
    hashes: 30 times slower on these.
    """
    ascending: Int64 = np.sort(numbers)
    return ascending[np.diff(ascending, prepend=-1) > 0]


def _ranks(rng: np.random.Generator, size: int, count: int, exponent: float, shift: float) -> Int64:
    """(size,): draws from 0 .. count - 1, k with a weight of (k + shift * count) ** -exponent,
    by inverting its integral.
    """
    power = 1 - exponent
    first, last = (shift * count) ** power, (count + shift * count) ** power
    drawn = (first + (last - first) * rng.random(size)) ** (1 / power) - shift * count
    return np.minimum(drawn.astype(np.int64), count - 1)


def _affinity(
    user: npt.NDArray[np.integer], item: npt.NDArray[np.integer], users: Float32, items: Float32
) -> Float32:
    """(n,): the inner products of the tastes of each pair, of mean 0 and standard deviation 1."""
    affinity = np.empty(len(user), np.float32)
    for start in range(0, len(user), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        affinity[rows] = np.einsum("nk,nk->n", users[user[rows]], items[item[rows]])
    return affinity


def _logistic(x: Float32) -> Float32:
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def _counts(rng: np.random.Generator, affinity: Float32) -> Float32:
    return 1 + rng.poisson(np.exp(np.minimum(affinity - 1, 2))).astype(np.float32)


def _stars(rng: np.random.Generator, affinity: Float32, item: Int32, num_items: int) -> Float32:
    quality = rng.normal(3.4, 0.4, num_items).astype(np.float32)[item]
    noise = rng.normal(0, 0.7, len(item)).astype(np.float32)
    return np.clip(np.round(2 * (quality + 0.6 * affinity + noise)) / 2, 0.5, 5.0)
