"""How well items, or users, are known of which few ratings are: by what is said of them (content),
by the ratings alone (fold-in), and by both (blend), in a root in which a pipeline that withholds
items, or users, whole has run.

Of each item withheld whole that has enough ratings, the first so many by hash are known, and are
folded in from the users' factors, which have seen none of them. The area under the ROC curve is of
the users who liked it among the ratings that are never known; the items are the same for each
number. With `--side user` the same of users: they are folded in from the items' factors, and rank
all items that have any. `blend` is the half-step of the stage blend, and "none" what is said, as it
is.
"""

import argparse
from dataclasses import dataclass
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
from emberline.models import CONTENT, CONTENT_USER
from emberline.numeric import hashing
from emberline.sections.als import AlsConfig
from emberline.sections.content import ContentConfig

KNOWN, LEAST = (0, 1, 2, 5, 10, 20), 30
PRIORS = {"item": "prior", "user": "user_prior"}


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


@dataclass(frozen=True)
class Case:
    """Ratings (p,) of rows that were withheld whole, ordered by row: the `rows`, which are places
    among those that are folded in (n,), the `columns`, which are places among the other side, and
    `values`; what is predicted of the rows (n, rank), the other side's factors (m, rank), and to
    what these were fitted.
    """

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    said: np.ndarray
    others: np.ndarray
    fit: Objective

    @property
    def places(self) -> np.ndarray:
        """Of each rating (p,) its place among those of its row, from 0."""
        return np.arange(len(self.rows)) - np.searchsorted(self.rows, self.rows)

    def folded(self, known: int, prior: float) -> np.ndarray:
        """(n, rank), by the first so many ratings of each row."""
        some = self.places < known
        rows, columns = (each[some].astype(np.int32) for each in (self.rows, self.columns))
        block = Entries(rows, columns, self.values[some].astype(np.float32)).block()
        grams = Grams.of(self.others, np.ones(len(self.others), np.int64))
        solver = Solver("cholesky", prior=prior)
        found, _ = half_step(block, self.others, grams, self.said[block.ids], self.fit, solver)
        return found

    def area(self, factors: np.ndarray, least: float, judges: str) -> float:
        """Of users, by the ratings that are never known; judges: which side the users are."""
        liked = (self.places >= max(KNOWN)) & (self.values >= least)
        rows, columns = self.rows[liked], self.columns[liked]
        users, items = (self.others, factors) if judges == "others" else (factors, self.others)
        pairs = (columns, rows) if judges == "others" else (rows, columns)
        candidates = Candidates(np.arange(len(items), dtype=np.int32), items)
        of_users = dense_block(np.arange(len(users), dtype=np.int32), users)
        found, _, added = terms(ranks_of(of_users, candidates, *pairs, seed=1), len(items), ())
        return float(np.bincount(found, added[:, 0]).mean())


def case_of(root: Path, side: str, has_ratings: bool) -> Case:
    """What was withheld whole in a root, of rows with enough ratings."""
    other = {"item": "user", "user": "item"}[side]
    model, name = {
        "item": (CONTENT.name, CONTENT.new_items[0]),
        "user": (CONTENT_USER.name, CONTENT_USER.new_users[0]),
    }[side]
    ids, others = factors_of(table(root, f"{other}_factors"), other)
    trained, _ = factors_of(table(root, f"{side}_factors"), side)
    said = table(root, name)
    known, predicted = factors_of(said.filter(pc.equal(said["model"], model)), side)
    holdout = table(root, "holdout")
    row, column, value = (holdout[each].to_numpy() for each in (side, other, "value"))
    chosen = np.isin(column, ids) & np.isin(row, known) & ~np.isin(row, trained)
    row, column, value = row[chosen], column[chosen], value[chosen]
    enough = np.flatnonzero(np.bincount(row) >= LEAST)
    chosen = np.isin(row, enough)
    row, column, value = row[chosen], column[chosen], value[chosen]
    order = np.lexsort((hashing.of_pairs(column, row, 1), row))
    return Case(
        np.searchsorted(enough, row[order]),
        np.searchsorted(ids, column[order]),
        value[order],
        predicted[np.searchsorted(known, enough)],
        others,
        objective(root, has_ratings),
    )


def main() -> None:
    """Print a row for each number of known ratings."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("root", type=Path)
    options.add_argument("--side", choices=("item", "user"), default="item")
    options.add_argument("--least", type=float, default=4.0, help="a relevant rating")
    options.add_argument("--prior", type=float, help="content.prior, or content.user_prior")
    given = options.parse_args()
    prior = given.prior or ContentConfig().model_dump()[PRIORS[given.side]]
    case = case_of(given.root, given.side, given.least > 1)
    judges = "others" if given.side == "item" else "rows"
    print(f"{len(case.said)} {given.side}s of {LEAST} ratings or more, prior {prior:g}")
    print("| ratings known | content | fold-in | blend |\n|---|---|---|---|")
    whole = case.area(case.said, given.least, judges)
    for known in KNOWN:
        alone, both = (
            case.area(case.folded(known, by), given.least, judges) if known else None
            for by in (0.0, prior)
        )
        shown = [f"{found:.3f}" if found is not None else "" for found in (whole, alone, both)]
        print(f"| {known} | {' | '.join([*shown[:2], shown[2] or shown[0]])} |")


if __name__ == "__main__":
    main()
