"""The index by which readers of a release find items among very many, and its recall: how many of
the exactly best ones it finds.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emberline import extras
from emberline.cf.blocks import matrix_of
from emberline.datasets import facts, rows
from emberline.datasets.manifest import Dataset, Manifest, run_folder
from emberline.datasets.parts import write_file
from emberline.datasets.storage import Location
from emberline.logs import event
from emberline.models import ALS, ITEM_INDEX, outdating
from emberline.nearest import Nearest
from emberline.numeric import hashing
from emberline.numeric.arrays import Float32

log = logging.getLogger(__name__)
FILE = "items.usearch"
_TOP, _LOOKED_AT = 10, 40  # the best, among those so many that the index finds
_USERS = 1000
_FEW = 0.95  # a recall less than this is said


def indexed(datasets: Sequence[Dataset], least: int) -> Dataset | None:
    """The table of so many items at least by whose factors the lists among the datasets were made;
    None where there is none, or usearch is not installed.
    """
    table = _made_of(datasets, ALS.lists[1])
    return table if table and table.rows >= least and extras.INDEX.is_here() else None


def write(table: Dataset, datasets: Sequence[Dataset], place: Location) -> Manifest:
    """Write the index of a table of items' factors below a place; its manifest, which is not
    committed yet.
    """
    factors = _matrix(table, "item")
    nearest = Nearest.of(factors)
    by = table.manifest.produced_by
    folder = place / ITEM_INDEX / run_folder(by.fingerprint, by.run_id)
    part = write_file(nearest.content(), folder, FILE)
    users = _made_of(datasets, ALS.lists[0])
    found = _recall(nearest, factors, _sample(users) if users else factors[:0])
    _say_if_few(*found[:2])
    info = facts.merged([facts.Indexed(table.name, *found)])
    return replace(
        table.manifest, name=ITEM_INDEX, kind="artifact", fields=[], rows=0, parts=[part], info=info
    )


def _say_if_few(recall: float | None, top: int) -> None:
    if recall is not None and recall < _FEW:
        remedy = "readers score all items where publish.index_from is more than there are"
        log.warning(event("index_finds_few", recall=f"{recall:.3f}", of=top, remedy=remedy))


def _made_of(datasets: Sequence[Dataset], name: str) -> Dataset | None:
    """The table of factors that lists were made from."""
    by_name = {each.name: each for each in datasets}
    if "recommendations" not in by_name:
        return None
    inputs = by_name["recommendations"].manifest.produced_by.inputs
    every = (*outdating(name), name)
    return next((by_name[each] for each in every if each in inputs and each in by_name), None)


def _matrix(table: Dataset, side: str) -> Float32:
    """(n, d), in the order of ids, as readers have them."""
    ordered = rows.whole(table, [side, "factors"]).sort_by(side).combine_chunks()
    return matrix_of(ordered["factors"].combine_chunks(), len(ordered))


def _sample(users: Dataset) -> Float32:
    """The factors of about a thousand users, chosen by hash."""
    table = rows.whole(users, ["user", "factors"])
    share = min(1.0, _USERS / max(1, len(table)))
    chosen = hashing.below(hashing.of_ids(table["user"].to_numpy(), 1), share)
    some = table.filter(chosen).combine_chunks()
    return matrix_of(some["factors"].combine_chunks(), len(some))


def _recall(nearest: Nearest, factors: Float32, users: Float32) -> tuple[float | None, int, int]:
    """The share of each user's best that are among what the index finds, their mean, None where
    there are no users; of how many best, and of how many users.
    """
    found = [
        len(np.intersect1d(nearest.near(user, _LOOKED_AT), _best(factors @ user))) for user in users
    ]
    top = min(_TOP, len(factors))
    return float(np.mean(found)) / top if found else None, top, len(found)


def _best(scores: Float32) -> np.ndarray:
    return np.argpartition(-scores, min(_TOP, len(scores)) - 1)[:_TOP]
