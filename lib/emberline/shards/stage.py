"""The stage export-shards: pictures with what is to be learnt of them, split by item and ordered
once, as the trainer reads them.

Rows are ordered by (hash(seed, item_id), item_id): over all parts, and within them. The pixels are
parked where they are read, and fetched by whoever writes a shard.
"""

from collections.abc import Mapping
from functools import partial, reduce

import numpy as np
import pyarrow as pa

from emberline.cf.metrics import Sums
from emberline.cf.targets import TARGETS, sum_targets
from emberline.datasets import examples, parked
from emberline.datasets.examples import (
    COUNTED,
    DEALT,
    EXAMPLES,
    MET,
    PARKED,
    SAID,
    SPLITS,
    Division,
)
from emberline.datasets.facts import (
    Channels,
    ClassCounts,
    Classes,
    GivenSplits,
    Pictures,
    RowGroups,
    Spectrograms,
    Targets,
    Task,
)
from emberline.datasets.info import Facts
from emberline.datasets.rows import distinct, unchanged
from emberline.datasets.sharding import GROUP_BYTES, GROUP_ROWS
from emberline.errors import EmptyDatasetError
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows
from emberline.numeric.arrays import Float64
from emberline.runs.stage_run import StageRun
from emberline.sections.shards import ShardsConfig
from emberline.shards.groups import check_no_leak, groups_in

Counts = Mapping[tuple[str, int | None], int]
Names = tuple[str, ...]
SETS = {"all": SPLITS, **{split: (split,) for split in SPLITS[:3]}}
# tables that say something of items, and the column that does
_SAYING = {"item_attributes": "label", "item_factors": "factors", "holdout": "cold"}
_WHAT = {"images": "picture", "sounds": "sound"}
_IN_HAND = 32 << 20  # bytes of pixels that are fetched at once


def run(run: StageRun[ShardsConfig], flow: Flow) -> None:
    """Join, split, order and write the four sets of shards."""
    config, images = run.settings, run.inputs[run.settings.of].manifest
    met = _met(flow, run)
    classes = _classes(met, config.of) if config.task == "class" else None
    divide = partial(examples.divide, division=_division(run, met, classes))
    divided = met.map(divide, EXAMPLES).kept()
    if config.group:
        check_no_leak(divided, config.of)
    counts = _counts(divided)
    _check(_by_split(counts), run)
    rank = run.inputs["item_factors"].manifest.rank if classes is None else None
    sums = target_sums(divided, rank) if rank else {}
    pictures = images.facts(Pictures)
    group_rows = max(1, min(GROUP_ROWS, GROUP_BYTES // pictures.bytes))
    facts: list[Facts] = [pictures, images.facts(Channels), Task(config.task)]
    heard = images.given(Spectrograms)
    facts += [RowGroups(group_rows), *([heard] if heard else [])]
    rows = max(1, _IN_HAND // pictures.bytes)
    fetch = partial(parked.fetch, column="pixels", folder=_folder(run), rows=rows)
    for name, splits in SETS.items():
        learnt = _learnt(splits, counts, classes, sums, rank)
        outputs.write(
            in_order(divided, splits, _num_shards(config, splits, counts)),
            run,
            f"shards_{name}",
            *facts,
            *learnt,
            rank=rank,
            seed=config.seed,
            through=fetch,
            group_rows=group_rows,
        )


def _folder(run: StageRun[ShardsConfig]) -> str:
    """Where pixels are parked."""
    return str(run.outputs.scratch / "pixels")


def _met(flow: Flow, run: StageRun[ShardsConfig]) -> Rows:
    """MET: the pictures, whose pixels are parked, with what is said of their items."""
    asked = run.settings.group
    pattern = asked.pattern if asked else None
    own = bool(asked and asked.column == "group")
    order = partial(examples.pictures, seed=run.settings.seed, pattern=pattern, own_group=own)
    park = partial(parked.park, task=order, column="pixels", folder=_folder(run))
    columns = ["item", "item_id", "label", "split", "group", "pixels"]
    by_item = partial(examples.met_by_item, blocks=flow.parts)
    rows = flow.read(run.inputs[run.settings.of]).map(columns, park, PARKED).map(by_item, SAID)
    for name, column in _SAYING.items():
        if name in run.inputs:
            said = flow.read(run.inputs[name])
            saying = pa.schema([MET.field("item"), MET.field(column)])
            task = examples.cold_items if column == "cold" else unchanged
            rows = rows.union(said.map(["item", column], task, saying).map(by_item, SAID))
    if asked and asked.column and not own:
        said = flow.read(run.inputs["item_attributes"])
        saying = pa.schema([MET.field("item"), MET.field("group")])
        grouped = said.map(["item", asked.column], examples.saying_group, saying)
        rows = rows.union(grouped.map(by_item, SAID))
    return rows.together(flow.parts).map(examples.meet, MET).kept()


def _classes(met: Rows, of: str) -> Classes:
    """The labels, in alphabetical order. Raises EmptyDatasetError for fewer than two."""
    labels = met.select({"label": "label"})
    found = labels.map(distinct, pa.schema([MET.field("label")])).table()["label"]
    classes = sorted(found.unique().drop_null().to_pylist())
    if len(classes) < 2:
        what = _WHAT[of]
        raise EmptyDatasetError(
            f"{what}s have {len(classes)} different labels, and a network needs two; set"
            f" {of}.labels, {of}.columns.label or the label column of [attributes.items]"
        )
    return Classes(classes)


def _division(run: StageRun[ShardsConfig], met: Rows, classes: Classes | None) -> Division:
    """Where classes are learnt, and the publisher has set pictures aside for choosing the model,
    it is chosen by those.
    """
    config = run.settings
    given = run.inputs[config.of].manifest.facts(GivenSplits).splits
    is_told = bool(classes and given.get("val") and not config.folds)
    names = None if classes is None else tuple(classes.classes)
    return Division(
        config.seed,
        None if is_told else config.val,
        config.test,
        names,
        groups_in(met, config, given),
        config.fold or 0,
        config.folds or 0,
        config.val if config.measure_by == "validation" else 0.0,
    )


def _counts(divided: Rows) -> Counts:
    """How many examples there are by split and label."""
    labels = divided.select({name: name for name in ("split", "label")})
    found = labels.map(examples.count, COUNTED).table()
    totals = found.group_by(["split", "label"]).aggregate([("rows", "sum")])
    return {(row["split"], row["label"]): row["rows_sum"] for row in totals.to_pylist()}


def _by_split(counts: Counts) -> dict[str, int]:
    """Of those splits that have any."""
    totals = {split: sum(n for (of, _), n in counts.items() if of == split) for split in SPLITS}
    return {split: count for split, count in totals.items() if count}


def _learnt(
    splits: Names,
    counts: Counts,
    classes: Classes | None,
    sums: Mapping[str, Sums],
    rank: int | None,
) -> tuple[Facts, ...]:
    """What is said of that which is to be learnt from the rows of some splits."""
    if classes is None:
        given = (sums[of] for of in splits if of in sums)
        every = reduce(Sums.merge, given, Sums.empty(rank or 0))
        return (Targets(_listed(every.mean()), _listed(every.deviation())),)
    numbers = range(len(classes.classes))
    return classes, ClassCounts(
        [sum(counts.get((of, label), 0) for of in splits) for label in numbers]
    )


def _listed(values: Float64) -> list[float] | None:
    """As a manifest has it: None where nothing was counted."""
    return None if np.isnan(values).any() else values.tolist()


def target_sums(divided: Rows, rank: int) -> dict[str, Sums]:
    """Of the factors, by split: count, sums and sums of squares of each component."""
    sums: dict[str, Sums] = {}
    factors = divided.select({name: name for name in ("split", "factors")})
    for row in factors.map(sum_targets, TARGETS).table().to_pylist():
        found = Sums(row["count"], np.array(row["total"]), np.array(row["squares"]))
        sums[row["split"]] = sums.get(row["split"], Sums.empty(rank)).merge(found)
    return sums


def _num_shards(config: ShardsConfig, splits: Names, counts: Counts) -> int:
    rows = sum(_by_split(counts).get(split, 0) for split in splits)
    return config.num_shards or max(1, round(rows / config.rows_per_shard))


def in_order(divided: Rows, splits: Names, shards: int) -> Rows:
    """EXAMPLES of some splits by (order, item_id), in so many parts of about equal size."""
    deal = partial(examples.deal, splits=splits, shards=shards)
    return divided.map(deal, DEALT).together(shards).map(examples.in_order, EXAMPLES)


def _check(counts: dict[str, int], run: StageRun[ShardsConfig]) -> None:
    """Raises EmptyDatasetError where there is nothing to train on, or to choose a model by."""
    for split in ("train", "val"):
        if not counts.get(split):
            found = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            learnt = run.settings.task == "class"
            what = _WHAT[run.settings.of]
            need = "a label" if learnt else "ALS factors under the same item ids"
            raise EmptyDatasetError(
                f"no {what} is for {split} (found: {found}); {what}s need {need}, or"
                " shards.val is too small"
            )
    run.outputs.measure(pictures=counts)
