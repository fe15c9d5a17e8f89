"""The stage prepare-ratings: raw interactions become clean ones under dense ids, and every row is
accounted for.

    read = kept + merged + rejected + filtered (+ forgotten)

Kept rows are in `interactions`; the others are in `rejected_ratings` with their file, their text
and the reason. Of people who were forgotten there is nothing but how many rows they had.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import numpy as np
import pyarrow.compute as pc

from emberline.cleaning import events, judging, pairs, shield
from emberline.cleaning.events import EventRules
from emberline.cleaning.shield import Shield
from emberline.datasets.facts import Accounts, Spellings
from emberline.datasets.manifest import Dataset
from emberline.datasets.schema import INTERACTIONS, REJECTED_RATINGS
from emberline.errors import DataError, EmptyDatasetError
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows
from emberline.interactions import cores
from emberline.interactions.cores import Sides
from emberline.numeric.arrays import Bool, Int32
from emberline.raw import ids, rejects
from emberline.raw import pairs as raw_pairs
from emberline.raw.reading import Cleaning, count_raw, read_raw
from emberline.raw.shields import shield_of
from emberline.runs.stage_run import StageRun
from emberline.sections.ratings import RatingsConfig

_SIDES = ("user", "item")
_CORRECT = (
    "correct the column that ratings.columns.split names, or leave those rows out by ratings.reject"
)
_OUTCOMES = ("merged", "rejected", "filtered")


def run(run: StageRun[RatingsConfig], flow: Flow) -> None:
    """Read, clean, number, merge and write."""
    config = run.settings
    files, wanted = run.inputs.files(config.path), config.wanted()
    read = count_raw(flow, files, config, wanted)
    guard = shield_of(run)
    raw = read_raw(flow, files, config, wanted, cleaning=cleaning(config.rules(), guard)).kept()
    parsed = leave_out_old(raw, config.last_days)
    unusable = _columns(parsed, "source_file", "outcome", "reason", "raw")
    unusable = unusable.map(pairs.unusable, REJECTED_RATINGS).kept()
    hidden = rejects.count_hidden(parsed) if guard.forgotten else 0
    expected = [rule.reason for rule in config.reject]
    found = rejects.reasons_in(unusable)
    rejects.check(found, read - hidden, config.max_rejected, "ratings", expected)
    coded = {
        side: ids.coded_ids(parsed, f"{side}_id", f"{side}_spelling", side == "item")
        for side in _SIDES
    }
    facts = {side: ids.facts_of(rows) for side, rows in coded.items()}
    merged = raw_pairs.merge(parsed, coded["item"], config.keep).kept()
    if config.columns.split is not None:
        raw_pairs.check_sets(merged, _CORRECT)

    sides = Sides(
        facts["user"].codes,
        facts["item"].codes,
        config.min_user_ratings,
        config.min_item_ratings,
    )
    left = dict(zip(_SIDES, cores.left(flow, merged, sides), strict=True))
    index = {side: _write_ids(flow, run, side, coded[side], left[side]) for side in _SIDES}
    accounts = _write_rows(flow, run, merged, unusable, index)
    _account(run, flow, read, hidden, accounts)
    joined = {f"{side}s": facts[side].joined for side in _SIDES}
    run.outputs.measure(joined=joined)
    run.outputs.finish("interactions", Spellings(joined))


def _write_rows(
    flow: Flow,
    run: StageRun[RatingsConfig],
    merged: Rows,
    unusable: Rows,
    index: Mapping[str, Int32],
) -> Dataset:
    """Write what is kept, and what is left out, which is returned; `index` is by the codes of
    users and of items, -1 for those that are left out.
    """
    config = run.settings
    users, items = (flow.share(index[side]) for side in _SIDES)
    kept = _columns(merged, "user", "item", "latest", *INTERACTIONS.names[2:])
    rows = kept.map(partial(pairs.interactions, users=users, items=items), INTERACTIONS)
    outputs.write(rows, run, "interactions")
    minimums = {side: getattr(config, f"min_{side}_ratings") for side in _SIDES}
    dropped = partial(pairs.left_out, keep=config.keep, minimums=minimums, users=users, items=items)
    others = _columns(merged, "user", "item", "latest", "source_file", "raw")
    left_out = unusable.union(others.map(dropped, REJECTED_RATINGS))
    written = outputs.write(left_out, run, "rejected_ratings")
    users.destroy()
    items.destroy()
    return written


def _columns(rows: Rows, *names: str) -> Rows:
    """Those columns, so that others need not travel."""
    return rows.select({name: name for name in names})


def cleaning(rules: EventRules, guard: Shield) -> Cleaning:
    """What makes events of raw rows, or gives the outcome and the reason why they are none."""
    task = partial(shield.events_task, rules=rules, shield=guard)
    return Cleaning(task, events.SCHEMA)


def leave_out_old(parsed: Rows, last_days: float | None) -> Rows:
    """Good rows are `filtered` where they are more than so many days older than the newest one."""
    if last_days is None:
        return parsed
    newest = pc.max(parsed.map(events.newest_of, events.NEWEST).table()["newest"]).as_py()
    if newest is None:
        return parsed
    task = partial(
        events.leave_out_before,
        begin=newest - timedelta(days=last_days),
        reason=f"more than {last_days:g} days before the newest",
    )
    return parsed.map(task, events.SCHEMA)


def _write_ids(
    flow: Flow, run: StageRun[RatingsConfig], side: str, coded: Rows, left: Bool
) -> Int32:
    """Extend an id map by those codes (codes,) that are left, and write it; the index of each
    code, -1 for those that are not left.
    """
    wanted = flow.share(left)
    numbered = ids.number(flow, coded, ids.known(run, side, f"{side}s"), wanted)
    columns = {side: "index", f"{side}_id": "id", "title": "title"}
    ids.write(flow, run, f"{side}s", numbered, columns)
    index = numbered.index_of(len(left))
    wanted.destroy()
    return np.where(left, index, np.int32(-1))


def _account(
    run: StageRun[RatingsConfig], flow: Flow, read: int, hidden: int, left_out: Dataset
) -> None:
    """Compare what was read, counted by itself, with what was written. Raises DataError where a
    row is missing or twice there.
    """
    columns = ("outcome", "reason", "source_file", "raw")
    found = judging.reasons_of(
        flow.read(left_out).map(columns, judging.count_reasons, judging.COUNTED).table()
    )
    reasons = {f"{one.outcome}: {one.reason}": one.rows for one in found}
    kept = run.outputs.rows("interactions")
    totals = {
        outcome: judging.total_of(one for one in found if one.outcome == outcome)
        for outcome in _OUTCOMES
    }
    accounts: dict[str, int] = {"read": read, "kept": kept, **totals}
    if hidden:
        accounts["forgotten"] = hidden
    if read != kept + hidden + sum(totals.values()):
        raise DataError(
            f"the rows do not add up: {accounts}; were the input files changed while they were"
            " read? Run it again"
        )
    if kept == 0:
        top = "; ".join(f"{count} {reason}" for reason, count in list(reasons.items())[:3])
        raise EmptyDatasetError(f"{run.settings.path}: of {read} rows none is left ({top})")
    run.outputs.measure(accounts=accounts, reasons=reasons)
    run.outputs.finish("interactions", Accounts(dict(accounts), reasons))
