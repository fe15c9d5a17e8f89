"""What one infers of people from changes of published neighbours (Calandrino et al. 2011), with and
without `privacy.min_changing_users`, replayed on two releases of a generated shop.

The attacker knows what each target had bought before the first release, and watches the lists of
these items: what has entered them, or come nearer, in the second one most often is guessed to be
what the target has bought between. The base rate is how often the same guess is right where the
second release was made without what the targets bought between: by taste and popularity alone. What
the lists are still worth is their NDCG@10 on what is bought later.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.shop.catalogue import make_catalogue
from emberline.shop.sales import Sales, make_sales

ITEMS, USERS, SALES, SEED = 600, 3000, 80_000, 7
BETWEEN, LATER = 0.04, 0.08  # shares of all sales: between the releases, and after them
LEAST = 5
EVIDENCE = 3  # lists in which an item has to have come nearer before it is guessed
FREE, STEADY = "item_neighbors", "steady_item_neighbors"


@dataclass(frozen=True)
class Row:
    """How the attack went against a table, beside the same guesses by taste alone."""

    table: str
    guesses: int
    precision: float
    base_guesses: int
    base_rate: float
    ndcg: float

    @property
    def ratio(self) -> float:
        return self.precision / self.base_rate if self.base_rate else float(self.precision > 0)


@dataclass(frozen=True)
class World:
    """The shop's sales, cut in time, and who is attacked."""

    sales: Sales
    first: int
    second: int
    targets: list[int]

    def bought(self, begin: int, end: int) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        customers, items = self.sales.customer[begin:end], self.sales.item[begin:end]
        for user, item in zip(customers.tolist(), items.tolist(), strict=True):
            found.setdefault(user, set()).add(item)
        return found

    def write(self, path: Path, end: int, without_targets: bool = False) -> None:
        """The log up to a sale, perhaps without what targets bought between the releases."""
        kept = np.arange(end)
        if without_targets:
            is_theirs = np.isin(self.sales.customer[:end], self.targets) & (kept >= self.first)
            kept = kept[~is_theirs]
        times = self.sales.time[kept].astype("datetime64[s]").astype(np.int64)
        names = ["user", "item", "at"]
        columns = [self.sales.customer[kept], self.sales.item[kept], times]
        pcsv.write_csv(pa.table(columns, names=names), path)


def world(seed: int) -> World:
    """Targets are half of those who have bought between the releases what they had not before."""
    catalogue = make_catalogue(ITEMS, seed)
    sales = make_sales(catalogue, USERS, SALES, seed)
    second = round(SALES * (1 - LATER))
    first = second - round(SALES * BETWEEN)
    made = World(sales, first, second, [])
    before, between = made.bought(0, first), made.bought(first, second)
    new = [user for user, items in between.items() if items - before.get(user, set())]
    chosen = np.random.default_rng(seed).permutation(sorted(new))[: len(new) // 2]
    return World(sales, first, second, sorted(chosen.tolist()))


def publish(folder: Path, log: Path, least: int) -> dict[str, dict[tuple[int, int], float]]:
    """Run the pipeline on a log; by table, the similarities of pairs by their outside ids."""
    config = Config.model_validate(
        {
            "ratings": {
                "path": str(log),
                "value": "one",
                "columns": {"user_id": "user", "item_id": "item", "timestamp": "at"},
            },
            "cosine": {"top_k": 20},
            "privacy": {"min_users": 1, "min_changing_users": least},
            "spark": {"engine": "here"},
        }
    )
    runner.run(config, folder, stages.in_pipeline(config))
    ids = dict(zip(*(_table(folder, "items")[name] for name in ("item", "item_id")), strict=True))
    found = {}
    for name in (FREE, STEADY):
        rows = _table(folder, name)
        pairs = zip(rows["item"], rows["neighbor"], rows["similarity"], strict=True)
        found[name] = {(int(ids[i]), int(ids[x])): value for i, x, value in pairs}
    return found


def _table(folder: Path, name: str) -> dict[str, list]:
    paths = manifests.load(folder, name).paths
    return pa.concat_tables(map(pq.read_table, paths)).to_pydict()


def guesses(
    target_items: dict[int, set[int]],
    old: dict[tuple[int, int], float],
    new: dict[tuple[int, int], float],
) -> dict[int, int]:
    """For each target the item that came nearer in most of the lists of what the target had."""
    nearer: dict[int, set[int]] = {}
    for (item, other), value in new.items():
        if value > old.get((item, other), 0.0):
            nearer.setdefault(item, set()).add(other)
    found = {}
    for target, items in target_items.items():
        counts: dict[int, int] = {}
        for item in items:
            for other in nearer.get(item, set()) - items:
                counts[other] = counts.get(other, 0) + 1
        best = max(counts, key=lambda other: (counts[other], -other), default=None)
        if best is not None and counts[best] >= EVIDENCE:
            found[target] = best
    return found


def ndcg(made: World, table: dict[tuple[int, int], float]) -> float:
    """NDCG@10 of lists by the sum of similarities to what was bought up to the second release, on
    what is bought after it.
    """
    similar = np.zeros((ITEMS, ITEMS))
    for (item, other), value in table.items():
        similar[item, other] = value
    had = made.bought(0, made.second)
    later = made.bought(made.second, len(made.sales.item))
    gains = []
    for user, items in later.items():
        seen = sorted(had.get(user, set()))
        wanted = items - set(seen)
        if not wanted or not seen:
            continue
        scores = similar[:, seen].sum(axis=1)
        scores[seen] = -1
        top = np.argsort(-scores, kind="stable")[:10]
        hits = np.array([item in wanted for item in top.tolist()])
        weights = 1 / np.log2(np.arange(10) + 2)
        gains.append((hits * weights).sum() / weights[: len(wanted)].sum())
    return float(np.mean(gains))


def replay(seed: int = SEED, least: int = LEAST) -> list[Row]:
    """The attack against lists that change freely, and against steady ones."""
    made = world(seed)
    before, between = made.bought(0, made.first), made.bought(made.first, made.second)
    known = {target: before.get(target, set()) for target in made.targets}
    new = {target: between[target] - known[target] for target in made.targets}
    releases: dict[bool, dict[str, dict[tuple[int, int], float]]] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for without in (False, True):
            root, log = folder / f"root-{without}", folder / f"log-{without}.csv"
            made.write(log, made.first)
            first = publish(root, log, least)
            made.write(log, made.second, without)
            releases[without] = publish(root, log, least)
    rows = []
    for table in (FREE, STEADY):
        rates = {
            without: guesses(known, first[table], tables[table])
            for without, tables in releases.items()
        }
        precision, base = (
            float(np.mean([item in new[target] for target, item in found.items()] or [0]))
            for found in (rates[False], rates[True])
        )
        quality = ndcg(made, releases[False][table])
        rows.append(Row(table, len(rates[False]), precision, len(rates[True]), base, quality))
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", type=Path, help="write the rows here, too")
    options.add_argument("--seeds", type=int, nargs="+", default=[SEED])
    options.add_argument("--least", type=int, default=LEAST)
    given = options.parse_args()
    every = []
    for seed in given.seeds:
        for row in replay(seed, given.least):
            every.append(asdict(row) | {"seed": seed})
            print(
                f"seed {seed}  {row.table:22} guesses {row.guesses:5}  precision"
                f" {row.precision:.3f}  base rate {row.base_rate:.3f} (of {row.base_guesses})"
                f"  ratio {row.ratio:.2f}  NDCG@10 {row.ndcg:.4f}"
            )
    if given.json:
        given.json.write_text(json.dumps(every, indent=1))


if __name__ == "__main__":
    main()
