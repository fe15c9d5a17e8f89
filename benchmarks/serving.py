"""How long somebody waits for an answer of `emberline.serving`: the 50th and the 95th of 100 calls,
on one core, of a release of generated plays with factors of rank 64.

`p95 cpu ms` is what the calling thread computes, on whatever else the machine is busy with; `p95
ms` is what passed meanwhile. What is folded in has 30 events.
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
import shapes
from harness import Figures, Subject
from threadpoolctl import threadpool_limits

from emberline.datasets import storage
from emberline.publish import releases
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.serving.recommender import Recommender
from emberline.stages import STAGES

USERS, PER_USER, EVENTS = 20_000, 67, 30
ITEMS, QUICK_ITEMS = (20_000, 100_000), (5_000,)
COLUMNS = {"user_id": "user", "item_id": "item", "value": "value"}
CALLS = 1_000


def release(users: int, items: int, folder: Path) -> Path:
    """What a pipeline publishes of so many people and things."""
    name = f"plays of {items}"
    values = shapes.SHAPES["plays"].values
    shapes.SHAPES.setdefault(name, shapes.Shape(users, items, PER_USER, values))
    config = Config.model_validate(
        {
            "ratings": {
                "path": str(shapes.write(name, folder)),
                "columns": COLUMNS,
                "value": "count",
            },
            "als": {"rank": 64, "iterations": 2},
            "recommend": {"top_k": 10},
            "spark": {"engine": "here", "driver_memory": "8g"},
        }
    )
    names = ("prepare-ratings", "split-ratings", "train-als", "recommend")
    root = storage.locate(str(folder / "root"))
    runner.run(config, root, [stage for stage in STAGES if stage.name in names])
    releases.publish(root, storage.locate(str(folder / "release")), with_defaults=False)
    return folder / "release"


def timed(call: Callable[[Any], Any], asked: Sequence[Any]) -> Figures:
    """Of each call what passed and what it computed, on one core."""
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
    figures = {"seconds": sum(passed)}
    for name, times in (("ms", passed), ("cpu_ms", computed)):
        for percent in (50, 95):
            figures[f"p{percent}_{name}"] = 1000 * float(np.percentile(times, percent))
    return figures


def main() -> None:
    """Measure the calls, for each number of items."""
    options = harness.options(__doc__, with_spark=False)
    sizes = QUICK_ITEMS if options.quick else ITEMS
    rng = np.random.default_rng(1)
    with harness.report(options) as report, TemporaryDirectory(prefix="emberline-bench-") as place:
        for items in sizes:
            folder = Path(place) / str(items)
            folder.mkdir()
            with Recommender.open(
                release(USERS // (4 if options.quick else 1), items, folder)
            ) as r:
                ids = r._served.items.texts.to_pylist()
                users = r._served.users.texts.to_pylist()
                asked: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
                    "recommend": (r.recommend, list(rng.choice(users, CALLS))),
                    "similar": (r.similar, list(rng.choice(ids, CALLS))),
                    "fold_in": (r.fold_in, [list(rng.choice(ids, EVENTS)) for _ in range(CALLS)]),
                }
                for name, (call, arguments) in asked.items():
                    run = partial(timed, call, arguments)
                    case = f"{name} {items:,} items"
                    if report.wants(case):
                        report.compare(case, [Subject("emberline", run, measures_itself=True)])


if __name__ == "__main__":
    main()
