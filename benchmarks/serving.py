"""How long somebody waits for an answer of `emberline.serving`: the 50th and the 95th of 100 calls,
on one core, of a release whose lists and factors of rank 64 are drawn.

`p95 cpu ms` is what the calling thread computes, on whatever else the machine is busy with; `p95
ms` is what passed meanwhile. What is folded in has 30 events. With --full also of a million items
with the index that is published beside them, and without; `recall` is how many of the ten best
it finds.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import harness
import numpy as np
import pyarrow as pa
from harness import Figures, Subject
from threadpoolctl import threadpool_limits

from emberline.datasets import manifest as manifests
from emberline.datasets import released
from emberline.datasets.facts import Fitted, Indexed, Values, merged
from emberline.datasets.info import Facts
from emberline.datasets.manifest import Manifest, ProducedBy, run_folder
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.models import ALS, ITEM_INDEX
from emberline.numeric.arrays import Float32, Float64
from emberline.publish import releases
from emberline.serving.recommender import Recommender

FITTED = Fitted(True, 0.2, 1.0, 1.0, "log", None, False, False)
USERS, RANK, EVENTS, TOP = 20_000, 64, 30, 10
ITEMS, QUICK_ITEMS, MANY_ITEMS = (20_000, 100_000), (5_000,), 1_000_000
CALLS, KINDS = 1_000, 200
RUN_ID = "20250101T000000-00000000"


def release(users: int, items: int, folder: Path, is_indexed: bool = False) -> Path:
    """A release of so many people and things, whose lists and factors are drawn: an answer takes
    as long as if they were learnt.
    """
    rng, root = np.random.default_rng(1), folder / "root"
    ids = ProducedBy("prepare-ratings", "0" * 64, RUN_ID, {"value": "count", "keep": "sum"})
    commit(root, "users", [range(users), [f"c{user:07}" for user in range(users)]], ids)
    names = [f"i{item:07}" for item in range(items)]
    commit(root, "items", [range(items), names, [f"Thing {name}" for name in names]], ids)
    fit = ProducedBy("train-als", "1" * 64, RUN_ID)
    centres = rng.normal(size=(KINDS, RANK))
    factors, tastes = drawn(centres, items, rng), drawn(centres, users, rng)
    commit(root, "item_factors", [range(items), list(factors)], fit, Values(1.0, 1.0), FITTED)
    inputs = {name: {"fingerprint": fit.fingerprint, "run_id": RUN_ID} for name in ALS.lists}
    made = ProducedBy("recommend", "2" * 64, RUN_ID, {"model": ALS.name, "top_k": TOP}, inputs)
    places = users * TOP
    listed = [
        np.repeat(np.arange(users, dtype=np.int32), TOP),
        np.tile(np.arange(1, TOP + 1, dtype=np.int32), users),
        rng.integers(items, size=places).astype(np.int32),
        rng.random(places, np.float32),
        pa.repeat(ALS.name, places),
    ]
    commit(root, "recommendations", listed, made)
    best = [range(1, TOP + 1), range(TOP), np.arange(TOP, 0, -1, dtype=np.float32)]
    commit(root, "popular_items", best, made)
    commit(root, "user_factors", [range(users), list(tastes)], fit, Values(1.0, 1.0), FITTED)
    least = items if is_indexed else items + 1
    releases.publish(root, folder / "release", with_defaults=False, index_from=least)
    return folder / "release"


def drawn(centres: Float64, count: int, rng: np.random.Generator) -> Float32:
    """Factors (count, RANK) around centres, of very different lengths."""
    near = centres[rng.integers(len(centres), size=count)] + 0.7 * rng.normal(size=(count, RANK))
    found: Float32 = (near * np.exp(0.6 * rng.normal(size=(count, 1))) / 8).astype(np.float32)
    return found


def commit(root: Path, name: str, columns: list[Any], by: ProducedBy, *info: Facts) -> None:
    """A table of a run."""
    schema = TABLES[name]
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=schema)
    folder = root / name / run_folder(by.fingerprint, by.run_id)
    part = write_part([table], folder, "part-00000", schema)
    manifests.commit(
        root,
        Manifest(
            name,
            "table",
            fields_of(schema),
            len(table),
            [part],
            by,
            rank=RANK if "factors" in schema.names else None,
            info=merged(info),
        ),
    )


def recall(folder: Path) -> Figures:
    """Of a release's index, as its manifest says it; nothing where it has none."""
    place = released.place_of(folder, released.read(folder / released.CURRENT).release)
    if not manifests.exists(place, ITEM_INDEX):
        return {}
    return {"recall": manifests.load(place, ITEM_INDEX).manifest.facts(Indexed).index_recall or 0.0}


def timed(call: Callable[[Any], Any], asked: Sequence[Any], known: Figures) -> Figures:
    """Of each call what passed and what it computed, on one core; beside what is known of them."""
    cores = os.sched_getaffinity(0)
    passed, computed = [], []
    os.sched_setaffinity(0, {min(cores)})
    try:
        with threadpool_limits(1):
            for one in asked:
                began, worked = time.perf_counter(), time.thread_time()
                call(one)
                computed.append(time.thread_time() - worked)
                passed.append(time.perf_counter() - began)
    finally:
        os.sched_setaffinity(0, cores)
    figures = known | {"seconds": sum(passed)}
    for name, times in (("ms", passed), ("cpu_ms", computed)):
        for percent in (50, 95):
            figures[f"p{percent}_{name}"] = 1000 * float(np.percentile(times, percent))
    return figures


def measure(report: harness.Report, folder: Path, named: str) -> None:
    """The calls, of one release."""
    rng = np.random.default_rng(1)
    with Recommender.open(folder) as r:
        ids = r._served.items.texts.to_pylist()
        users = r._served.users.texts.to_pylist()
        asked: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
            "recommend": (r.recommend, list(rng.choice(users, CALLS))),
            "similar": (r.similar, list(rng.choice(ids, CALLS))),
            "fold_in": (r.fold_in, [list(rng.choice(ids, EVENTS)) for _ in range(CALLS)]),
        }
        for name, (call, arguments) in asked.items():
            run = partial(timed, call, arguments, recall(folder) if name == "fold_in" else {})
            if report.wants(f"{name} {named}"):
                subject = Subject("emberline", run, measures_itself=True)
                report.compare(f"{name} {named}", [subject])


def main() -> None:
    """Measure the calls, for each number of items."""
    options = harness.options(__doc__, with_spark=False)
    sizes = [(items, False) for items in (QUICK_ITEMS if options.quick else ITEMS)]
    sizes += [(MANY_ITEMS, False), (MANY_ITEMS, True)] if options.full else []
    users = USERS // (4 if options.quick else 1)
    with harness.report(options) as report, TemporaryDirectory(prefix="emberline-bench-") as place:
        for items, is_indexed in sizes:
            named = f"{items:,} items{' by the index' if is_indexed else ''}"
            folder = Path(place) / named
            folder.mkdir()
            measure(report, release(users, items, folder, is_indexed), named)


if __name__ == "__main__":
    main()
