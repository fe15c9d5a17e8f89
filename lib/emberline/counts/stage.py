"""The stage noisy-counts: how many people have each item, how many ratings the items of each class
have, and how many people of each segment have what, with noise.

Each person adds a few items at most (`datasets/contributions.py`). Counts are held in memory, by
item, as those of what is popular are.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import numpy as np

from emberline.counts import draws, tables
from emberline.counts.draws import Before
from emberline.counts.tables import Drawn, Paid
from emberline.datasets import contributions
from emberline.datasets.contributions import BOUNDED, BY_USER, HASHED
from emberline.datasets.kept_back import Budget, NoisyCounts
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import whole
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows, Source
from emberline.numeric.arrays import UInt64
from emberline.runs.stage_run import StageRun
from emberline.runs.tombstones import is_unfinished
from emberline.sections.noise import ITEMS, NoiseConfig, labelled
from emberline.sections.privacy import PrivacyConfig


def run(run: StageRun[PrivacyConfig], flow: Flow) -> None:
    """Draw counts anew and write them, or those of the last draw where they stay."""
    noise = run.settings.noise
    assert noise is not None  # else the stage is not in the pipeline
    now = datetime.now(UTC)
    last = _last(run)
    before = _before(run, last)
    if before is not None and before.stays(noise, now):
        spent = replace(before.spent, budget=noise.budget)
        found = [_as_it_is(dataset) for dataset in last.values()]
    else:
        draws.check_budget(noise, before)
        found = list(_drawn(run, flow, noise))
        costs = [(each.facts.epsilon, each.facts.delta) for each in found]
        spent = draws.after(noise, before, now, *map(sum, zip(*costs, strict=True)))
    for each in found:
        outputs.write_here(each.table, run, each.name, each.facts, spent)
    run.outputs.measure(noise=spent.to_json())


def _last(run: StageRun[PrivacyConfig]) -> dict[str, Dataset]:
    """Those tables that the last run has left."""
    found = {name: run.outputs.previous(name) for name in run.outputs.promised}
    return {name: dataset for name, dataset in found.items() if dataset is not None}


def _before(run: StageRun[PrivacyConfig], last: dict[str, Dataset]) -> Before | None:
    """The last draw; its counts do not stay while people are being forgotten, who were counted."""
    if ITEMS not in last:
        return None
    manifest = last[ITEMS].manifest
    is_whole = set(last) == set(run.outputs.promised)
    may_stay = is_whole and not is_unfinished(run.outputs.root)
    return Before(manifest.produced_by.config["noise"], manifest.facts(Budget), may_stay)


def _as_it_is(dataset: Dataset) -> Drawn:
    table = whole(dataset, [field["name"] for field in dataset.manifest.fields])
    return Drawn(dataset.name, table, dataset.manifest.facts(NoisyCounts))


def _drawn(run: StageRun[PrivacyConfig], flow: Flow, noise: NoiseConfig) -> Iterator[Drawn]:
    """What the pipeline counts, each by its share of epsilon."""
    added = _bounded(run, flow, noise.max_items).kept()
    every = Paid(noise.epsilon, noise.delta, noise.max_items)
    paid = {part: every.part(share) for part, share in noise.split.shares.items()}
    yield tables.of_items(added, paid["items"])
    if classes := labelled(run.config) if "classes" in paid else None:
        yield tables.of_classes(flow, added, flow.read(run.inputs[classes]), paid["classes"])
    if noise.segments is not None:
        said = flow.read(run.inputs["user_attributes"])
        yield from tables.of_segments(flow, added, said, noise.segments, paid["segments"])
    added.free()


def _bounded(run: StageRun[PrivacyConfig], flow: Flow, most: int) -> Rows:
    """BOUNDED: what each person adds."""
    users, items = (
        flow.share(_hashes(flow.read(run.inputs[name]), name.removesuffix("s")))
        for name in ("users", "items")
    )
    task = partial(contributions.by_user, users=users, items=items, blocks=flow.parts)
    rows = flow.read(run.inputs["interactions"]).map(("user", "item"), task, BY_USER)
    return rows.together(flow.parts).map(partial(contributions.bounded, most=most), BOUNDED)


def _hashes(ids: Source, side: str) -> UInt64:
    """Of outside ids, by their index."""
    table = ids.map((side, f"{side}_id"), contributions.hash_ids, HASHED).table()
    places = table["id"].to_numpy()
    found = np.zeros(int(places.max(initial=-1)) + 1, np.uint64)
    found[places] = table["hash"].to_numpy().view(np.uint64)
    return found
