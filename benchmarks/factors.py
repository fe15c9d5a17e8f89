"""What `publish.factors = "int8"` costs: how many places of everybody's list are the same as by
factors in float32, and what share of the bytes of the files is left.

    python benchmarks/factors.py runs/demo runs/retail

Of each root the factors that its published lists are made from, and all of its users; what they
have chosen already is in no list. Lists are made as `emberline.serving` makes them of a release.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy.sparse as sp

from emberline.cf.blocks import matrix_of
from emberline.cf.quantized import Quantized
from emberline.datasets import manifest as manifests
from emberline.datasets import rows
from emberline.datasets.manifest import Dataset
from emberline.models import ALS, outdating
from emberline.publish import quantizing

TOP, RESCORED, USERS = 10, 4, 1024  # places of a list; how many as many are scored again; at a time


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("roots", nargs="+", type=Path, metavar="ROOT")
    print(f"{'root':24}{'users':>10}{'items':>10}{'the same':>12}{'item bytes':>12}{'users':>8}")
    for root in parser.parse_args().roots:
        sides = [factors_of(root, name) for name in ALS.lists]
        users, items = (whole(side) for side in sides)
        same = overlap(users, items, seen_in(root, users[0], items[0]))
        left = [share_of_bytes(side) for side in sides]
        counts = f"{len(users[0]):10,}{len(items[0]):10,}"
        print(f"{root.name:24}{counts}{same:12.5f}{left[1]:12.3f}{left[0]:8.3f}")


def factors_of(root: Path, name: str) -> Dataset:
    """Those that lists are made from."""
    names = [*outdating(name), name]
    return manifests.load(root, next(each for each in names if manifests.exists(root, each)))


def whole(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Ids (n,) ascending, and factors (n, d)."""
    side = dataset.manifest.fields[0]["name"]
    table = rows.whole(dataset, [side, "factors"]).combine_chunks()
    ids = table[side].to_numpy()
    order = np.argsort(ids)
    factors = matrix_of(table["factors"].combine_chunks(), len(ids))
    return ids[order], factors[order]


def seen_in(root: Path, users: np.ndarray, items: np.ndarray) -> sp.csr_array:
    """What everybody has chosen: (users, items)."""
    table = rows.whole(manifests.load(root, "interactions"), ["user", "item"])
    user, item = (table[name].to_numpy() for name in ("user", "item"))
    known = np.isin(user, users) & np.isin(item, items)
    places = np.searchsorted(users, user[known]), np.searchsorted(items, item[known])
    return sp.csr_array((np.ones(known.sum(), bool), places), shape=(len(users), len(items)))


def overlap(
    users: tuple[np.ndarray, np.ndarray],
    items: tuple[np.ndarray, np.ndarray],
    seen: sp.csr_array,
) -> float:
    """The share of the places of all lists that hold the same items."""
    few, same, places = Quantized.of(items[1]), 0, 0
    codes = few.codes.astype(np.float32)
    exact = few.rows(slice(0, len(few)))
    for some in cut(len(users[0])):
        hidden = seen[some].nonzero()
        own, half = users[1][some], users[1][some].astype(np.float16).astype(np.float32)
        scores = own @ items[1].T
        scores[hidden] = -np.inf
        rough = (half @ codes.T) * few.scales
        rough[hidden] = -np.inf
        near = best(rough, min(RESCORED * TOP, rough.shape[1]))
        again = np.einsum("ud,und->un", half, exact[near])
        again[np.isneginf(np.take_along_axis(rough, near, 1))] = -np.inf
        lists = np.take_along_axis(near, best(again, TOP), 1)
        one, other = (np.zeros(scores.shape, bool) for _ in range(2))
        np.put_along_axis(one, best(scores, TOP), True, 1)
        np.put_along_axis(other, lists, True, 1)
        same, places = same + int((one & other).sum()), places + one.sum()
    return same / places


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """The places of so many of the largest of each row, in no order."""
    return np.argpartition(-scores, count - 1, axis=1)[:, :count]


def cut(count: int) -> Iterator[slice]:
    yield from (slice(first, first + USERS) for first in range(0, count, USERS))


def share_of_bytes(factors: Dataset) -> float:
    """What is left of the bytes of a table's files in few bytes."""
    with TemporaryDirectory() as folder:
        few = quantizing.write(factors, Path(folder))
    before, after = ([part.bytes for part in each.parts] for each in (factors.manifest, few))
    return sum(after) / sum(before)


if __name__ == "__main__":
    main()
