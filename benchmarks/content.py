"""train-content on generated items: the whole stage on this machine's cores, against the same
arithmetic in one process with everything in arrays at once.

- emberline begins and ends with Parquet, part by part.
- one process reads all items at once, and does the same from there: statistics, the choice of
  modalities, landmarks, one matrix of features of all items, one regression. BLAS has all cores.

"auc" is the area under the ROC curve of the items that are withheld, by users' factors. Items are
of forty kinds, which their genres, their titles and their years tell, among words that say nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import data
import harness
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from harness import Figures, Subject

from emberline.cf import facts
from emberline.cf.blocks import dense_block, matrix_of
from emberline.cf.content import features, regression, tasks
from emberline.cf.content.columns import Columns
from emberline.cf.ranks import Candidates, ranks_of, terms
from emberline.cf.ridge import Moments
from emberline.content import learning
from emberline.datasets.manifest import load
from emberline.datasets.rows import batches
from emberline.datasets.schema import TABLES
from emberline.flow.here import Here
from emberline.numeric import hashing
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.stages import STAGES

RANK, USERS, KINDS, PER_USER = 64, 2000, 40, 40
SAMPLE, LANDMARKS = 2000, 500
WORDS = np.array([f"word{number}" for number in range(3000)])
COLUMNS = Columns(numbers=("year",))
CONFIG = Config.model_validate(
    {
        "ratings": {
            "path": "unread.csv",
            "columns": {"user_id": "u", "item_id": "i"},
            "value": "one",
        },
        "attributes": {
            "items": {
                "path": "unread.csv",
                "columns": {"id": "i"},
                "numbers": list(COLUMNS.numbers),
            }
        },
        "als": {"rank": RANK},
        "content": {},
        "spark": {"engine": "here", "driver_memory": "6g"},
    }
)


@dataclass(frozen=True)
class Case:
    """A root with items, a tenth of which is withheld; the kinds (n,), and who likes which of
    them.
    """

    root: Path
    cold: np.ndarray
    users: np.ndarray
    liked_by: np.ndarray
    liked: np.ndarray


def made(items: int, root: Path) -> Case:
    """So many items, and users who like those of five kinds."""
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, KINDS, items)
    centres = rng.standard_normal((KINDS, RANK)) / np.sqrt(RANK)
    factors = (centres[kinds] + 0.3 * rng.standard_normal((items, RANK)) / np.sqrt(RANK)).astype(
        np.float32
    )
    favourites = np.argsort(rng.random((USERS, KINDS)), axis=1)[:, :5]
    users = centres[favourites].sum(axis=1).astype(np.float32)
    of_kind = [np.flatnonzero(kinds == kind) for kind in range(KINDS)]
    rows = np.repeat(np.arange(USERS), PER_USER)
    picks = rng.integers(0, 5, len(rows))
    chosen = [
        rng.choice(of_kind[favourites[user, pick]]) for user, pick in zip(rows, picks, strict=True)
    ]
    pairs = np.unique(rows << 32 | np.array(chosen))
    liked_by, liked = pairs >> 32, pairs & 0xFFFFFFFF
    is_cold = np.zeros(items, bool)
    is_cold[rng.choice(items, items // 10, replace=False)] = True
    _publish(root, rng, kinds, users, factors, is_cold, liked_by, liked)
    known = is_cold[liked]
    return Case(root, np.flatnonzero(is_cold), users, liked_by[known], liked[known])


def _publish(
    root: Path,
    rng: np.random.Generator,
    kinds: np.ndarray,
    users: np.ndarray,
    factors: np.ndarray,
    is_cold: np.ndarray,
    liked_by: np.ndarray,
    liked: np.ndarray,
) -> None:
    _publish_ratings(root, *(each[~is_cold[liked]] for each in (liked_by, liked)))
    _publish_factors(root, "user_factors", np.arange(len(users)), users)
    _publish_factors(root, "item_factors", np.flatnonzero(~is_cold), factors[~is_cold])
    _publish_attributes(root, rng, kinds)


def _publish_ratings(root: Path, users: np.ndarray, items: np.ndarray) -> None:
    ones = np.ones(len(users), np.float32)
    columns = [users.astype(np.int32), items.astype(np.int32)]
    moments = pa.nulls(len(ones), TABLES["ratings"].field("timestamp").type)
    data.publish(root, pa.table([*columns, ones, moments], schema=TABLES["ratings"]), "ratings", 4)


def _publish_factors(root: Path, name: str, ids: np.ndarray, factors: np.ndarray) -> None:
    table = pa.table([ids.astype(np.int32), list(factors)], schema=TABLES[name])
    data.publish(root, table, name, 4, rank=RANK, value_mean=1.0, value_deviation=0.0)


def _publish_attributes(root: Path, rng: np.random.Generator, kinds: np.ndarray) -> None:
    titles = [
        f"{' '.join(WORDS[words])} kind{kind % 20}"
        for words, kind in zip(rng.integers(0, len(WORDS), (len(kinds), 4)), kinds, strict=True)
    ]
    said = {
        "item": pa.array(np.arange(len(kinds), dtype=np.int32)),
        "item_id": [str(item) for item in range(len(kinds))],
        "title": titles,
        "text": pa.nulls(len(kinds), pa.string()),
        "label": pa.nulls(len(kinds), pa.string()),
        "genres": [[f"genre {kind // 4}"] for kind in kinds],
        "tags": pa.array([[]] * len(kinds), pa.list_(pa.string())),
        "numbers": [
            [1950.0 + 2 * (kind % 10) + year]
            for kind, year in zip(kinds, rng.normal(size=len(kinds)), strict=True)
        ],
        "categories": pa.array([[]] * len(kinds), pa.list_(pa.string())),
        "lists": pa.array([[]] * len(kinds), pa.list_(pa.list_(pa.string()))),
    }
    table = pa.table(said, schema=TABLES["item_attributes"])
    data.publish(root, table, "item_attributes", 4, numbers=list(COLUMNS.numbers))


def emberline(case: Case) -> Callable[[], Figures]:
    """The stage."""
    stage = [stage for stage in STAGES if stage.name == "train-content"]
    runner.run(CONFIG, case.root, stage, force=True)
    return lambda: _judged(case, pq.read_table(data.folder_of(load(case.root, "content_factors"))))


def one_process(case: Case) -> Callable[[], Figures]:
    """All items at once."""
    rows = _whole(case)
    factored = np.flatnonzero(rows["factors"].is_valid().to_numpy(zero_copy_only=False))
    order = np.argsort(hashing.of_ids(rows["id"].to_numpy()[factored], 1), kind="stable")
    sample, marks = (
        rows.take(pa.array(np.sort(factored[order[:size]]))) for size in (SAMPLE, LANDMARKS)
    )
    known = features.statistics_of(features.sum_up(rows, COLUMNS), sample, COLUMNS)
    with Here(1 << 30, harness.CORES) as flow:
        sources = (flow.read(load(case.root, name)) for name in ("user_factors", "ratings"))
        choice = learning.chosen("item", sample, *sources, known, 1, harness.CORES)
    found = learning.fit_of(marks, choice, known).features(rows)
    trained = rows.take(pa.array(factored))
    weights = regression.weights_of(trained["ratings"].to_numpy().astype(np.float64))
    targets = matrix_of(trained["factors"], len(factored))
    moments = Moments.of(found[factored], targets, weights)
    predicted = regression.predict(found, regression.solve(moments, choice.penalty))
    table = pa.table({"item": rows["id"], "factors": list(predicted)})
    pq.write_table(table, case.root / "one-process.parquet")
    return lambda: _judged(case, table)


def _whole(case: Case) -> pa.RecordBatch:
    """tasks.KNOWN of all items."""
    columns = {"item_attributes": tasks.ATTRIBUTES, "item_factors": ("factors",)}
    every = [
        batch
        for name, names in columns.items()
        for batch in facts.as_facts(
            batches(load(case.root, name), ["item", *names]), names, tasks.SAID
        )
    ]
    counts = np.bincount(
        pq.read_table(data.folder_of(load(case.root, "ratings")))["item"].to_numpy()
    )
    ids = np.flatnonzero(counts)
    counted = pa.record_batch([ids.astype(np.int32), counts[ids]], names=["item", "ratings"])
    every += facts.as_facts(iter([counted]), ("ratings",), tasks.SAID)
    whole = pa.Table.from_batches(list(facts.gather(iter(every), tasks.SAID))).combine_chunks()
    return whole.to_batches()[0]


def _judged(case: Case, found: pa.Table) -> Figures:
    rows = found.sort_by("item").take(pa.array(case.cold))
    candidates = Candidates(
        case.cold.astype(np.int32), matrix_of(rows["factors"].combine_chunks(), len(case.cold))
    )
    users = dense_block(np.arange(USERS, dtype=np.int32), case.users)
    places = np.searchsorted(case.cold, case.liked)
    ranked = ranks_of(users, candidates, case.liked_by, places, seed=1)
    of_users, _, added = terms(ranked, len(case.cold), ())
    return {"auc": float(np.bincount(of_users, added[:, 0]).mean())}


def main() -> None:
    """Measure each size."""
    options = harness.options(__doc__, with_spark=False)
    sizes = (3000,) if options.quick else (20_000, 200_000)
    with harness.report(options) as report:
        for items in sizes:
            if not report.wants(f"{items:,} items"):
                continue
            with TemporaryDirectory(prefix="emberline-bench-") as place:
                case = made(items, Path(place))
                runs = {"emberline": emberline, "one process": one_process}
                subjects = [
                    Subject(name, partial(run, case), lambda judge: judge(), uses_spark=False)
                    for name, run in runs.items()
                ]
                report.compare(f"{items:,} items", subjects)


if __name__ == "__main__":
    main()
