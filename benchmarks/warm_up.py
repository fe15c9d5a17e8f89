"""How well items are ranked that few ratings are known of: by what is said of them (content), by
the ratings alone (fold-in), and by both (blend), in a root in which a pipeline that withholds items
whole has run.

Of each item withheld whole that has enough ratings, the first so many by hash are known, and are
folded in from the users' factors, which have seen none of them. The area under the ROC curve is of
the users who liked it among the ratings that are never known; the items are the same for each
number. `blend` is the half-step of the stage blend, and "none" what is said, as it is.
"""

import argparse
from pathlib import Path

import data
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.cf.als.gramians import Grams
from emberline.cf.als.half_step import half_step
from emberline.cf.als.objective import Objective
from emberline.cf.als.solvers import Solver
from emberline.cf.blocks import dense_block, matrix_of
from emberline.cf.entries import Entries
from emberline.cf.ranks import Candidates, ranks_of, terms
from emberline.datasets.facts import Values
from emberline.datasets.manifest import load
from emberline.factors.purposes import objective_of
from emberline.models import CONTENT
from emberline.numeric import hashing
from emberline.sections.als import AlsConfig

KNOWN, LEAST = (0, 1, 2, 5, 10, 20), 30


def table(root: Path, name: str) -> pa.Table:
    """All rows of a dataset."""
    return pq.read_table(data.folder_of(load(root, name)))


def factors_of(rows: pa.Table, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids (n,), ascending, and their factors (n, rank)."""
    ordered = rows.sort_by(side).combine_chunks()
    return ordered[side].to_numpy(), matrix_of(ordered["factors"].combine_chunks(), len(ordered))


def objective(root: Path, has_ratings: bool) -> Objective:
    """What the factors of the root were fitted to."""
    manifest = load(root, "user_factors").manifest
    config = AlsConfig.model_validate(manifest.produced_by.config | {"iterations": 1})
    values = manifest.facts(Values)
    found = objective_of(config.for_lists(has_ratings), True)
    return Objective(
        **vars(found) | {"mean": values.value_mean, "deviation": values.value_deviation}
    )


def main() -> None:
    """Print a row for each number of known ratings."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("root", type=Path)
    options.add_argument("--least", type=float, default=4.0, help="a relevant rating")
    options.add_argument("--prior", type=float, default=65.0)
    given = options.parse_args()
    users, of_users = factors_of(table(given.root, "user_factors"), "user")
    said = table(given.root, "content_factors")
    said = said.filter(pc.equal(said["model"], CONTENT.name))
    items, content = factors_of(said, "item")
    holdout = table(given.root, "holdout")
    rows = holdout.filter(holdout["cold"])
    user, item, value = (rows[name].to_numpy() for name in ("user", "item", "value"))
    chosen = np.isin(user, users) & np.isin(item, items)
    user, item, value = user[chosen], item[chosen], value[chosen]
    enough = np.flatnonzero(np.bincount(item) >= LEAST)
    chosen = np.isin(item, enough)
    user, item, value = user[chosen], item[chosen], value[chosen]
    order = np.lexsort((hashing.of_pairs(user, item, 1), item))
    user, item, value = user[order], item[order], value[order]
    place = np.arange(len(item)) - np.searchsorted(item, item)
    cold = content[np.searchsorted(items, enough)]
    fit = objective(given.root, bool(given.least > 1))
    liked = (place >= max(KNOWN)) & (value >= given.least)
    judged = dense_block(users, of_users)

    def area(factors: np.ndarray) -> float:
        candidates = Candidates(enough.astype(np.int32), factors)
        rows, columns = np.searchsorted(users, user[liked]), np.searchsorted(enough, item[liked])
        found, _, added = terms(
            ranks_of(judged, candidates, rows, columns, seed=1), len(enough), ()
        )
        return float(np.bincount(found, added[:, 0]).mean())

    def folded(known: int, prior: float) -> np.ndarray:
        some = place < known
        places = np.searchsorted(enough, item[some]).astype(np.int32)
        columns = np.searchsorted(users, user[some]).astype(np.int32)
        block = Entries(places, columns, value[some].astype(np.float32)).block()
        grams = Grams.of(of_users, np.ones(len(users), np.int64))
        solver = Solver("cholesky", prior=prior)
        found, _ = half_step(block, of_users, grams, cold[block.ids], fit, solver)
        return found

    print(f"{len(enough)} items of {LEAST} ratings or more, {len(np.unique(user[liked]))} users")
    print("| ratings known | content | fold-in | blend |\n|---|---|---|---|")
    whole = area(cold)
    for known in KNOWN:
        alone, both = (area(folded(known, p)) if known else None for p in (0.0, given.prior))
        shown = [f"{found:.3f}" if found is not None else "" for found in (whole, alone, both)]
        print(f"| {known} | {' | '.join([*shown[:2], shown[2] or shown[0]])} |")


if __name__ == "__main__":
    main()
