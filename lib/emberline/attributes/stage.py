"""The stage prepare-items: what is known of items and users besides ratings, one row per id, under
the dense ids.

    read = kept + merged + rejected (+ forgotten)        (for items and for users)

An id that nobody has rated gets an index here. Rows of one id are merged: their lists are joined,
and of single values the first counts, in the order of the sources, then of file and text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce

from emberline.cleaning import judging, merging
from emberline.cleaning.forgotten import FORGOTTEN
from emberline.cleaning.merging import BY_ID, MERGED, ORDERED, UNUSABLE
from emberline.datasets.facts import Accounts, Attributes, Indices, Spellings, UnusableNumbers
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import only, through
from emberline.datasets.schema import REJECTED_ATTRIBUTES, TABLES
from emberline.errors import DataError, EmptyDatasetError
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows
from emberline.raw import ids, rejects
from emberline.raw.attributes import read_attributes
from emberline.raw.reading import count_raw
from emberline.raw.shields import shield_of
from emberline.runs.stage_run import StageRun
from emberline.sections.attributes import AttributesConfig, AttributeSourceConfig


@dataclass(frozen=True)
class _Side:
    """What is read of items or of users: cleaned rows by source, those that are good in their
    order, and how many rows there are, and are hidden: of people who were forgotten.
    """

    name: str
    cleaned: Sequence[Rows]
    ordered: Rows
    read: int
    hidden: int


def run(run: StageRun[AttributesConfig], flow: Flow) -> None:
    """Read, check, merge, number and write both sides."""
    config = run.settings
    sources = {"item": config.items, "user": config.users}
    sides = [_read(flow, run, side, given) for side, given in sources.items() if given]
    left_out = [rows for side in sides for rows in _left_out(side)]
    accounts = outputs.write(_union(left_out), run, "rejected_attributes")
    for side in sides:
        _write_side(flow, run, side)
    _account(run, flow, sides, accounts)


def _read(
    flow: Flow,
    run: StageRun[AttributesConfig],
    side: str,
    sources: Sequence[AttributeSourceConfig],
) -> _Side:
    """Raises DataError where more rows of a source cannot be used than it allows."""
    named = run.settings.named(side)
    guarded = (shield_of(run), side)
    cleaned = []
    read = 0
    for position, source in enumerate(sources):
        files, wanted = run.inputs.files(source.path), source.wanted(named)
        rules = source.rules(named)
        lists = source.list_columns(named)
        rows = read_attributes(flow, files, source, wanted, rules, guarded, lists).kept()
        place = f".{position}" if len(sources) > 1 else ""
        count = count_raw(flow, files, source, wanted)
        left_out = rows.select({name: name for name in ("source_file", "raw", "reason")})
        reasons = [one for one in rejects.reasons_in(left_out) if one.reason != FORGOTTEN]
        rejects.check(reasons, count, source.max_rejected, f"attributes.{side}s{place}")
        cleaned.append(rows)
        read += count
    hidden = sum(map(rejects.count_hidden, cleaned)) if guarded[0].forgotten else 0
    return _Side(side, cleaned, in_order(cleaned).kept(), read, hidden)


def in_order(cleaned: Sequence[Rows]) -> Rows:
    """The good ones of the rows of several sources as ORDERED, all of an id in one part."""
    parts = cleaned[0].flow.parts
    every = [
        rows.map(partial(merging.by_id, source=position, blocks=parts), BY_ID)
        for position, rows in enumerate(cleaned)
    ]
    return _union(every).together(parts).map(partial(merging.in_order, blocks=parts), ORDERED)


def _left_out(side: _Side) -> list[Rows]:
    rejected = partial(merging.rejected, side=side.name)
    merged_away = partial(merging.merged_away, side=side.name)
    return [
        *(rows.map(rejected, REJECTED_ATTRIBUTES) for rows in side.cleaned),
        side.ordered.map(merged_away, REJECTED_ATTRIBUTES),
    ]


def _union(rows: Sequence[Rows]) -> Rows:
    return reduce(lambda some, more: some.union(more), rows)


def _write_side(flow: Flow, run: StageRun[AttributesConfig], side: _Side) -> None:
    named, table = run.settings.named(side.name), f"{side.name}_attributes"
    coded = ids.coded_ids(_union(side.cleaned), "id", "spelling")
    facts = ids.facts_of(coded)
    numbered = ids.number(flow, coded, ids.known(run, side.name))
    index, end = flow.share(numbered.index_of(facts.codes)), numbered.next_index
    merged = side.ordered.map(merging.merge, MERGED)
    task = partial(merging.with_index, index=index, end=end, blocks=flow.parts)
    blocks = merged.map(task, MERGED).together(flow.parts)
    kept = blocks.map(partial(merging.in_table, schema=TABLES[table]), TABLES[table])
    unusable = UnusableNumbers(_unusable_numbers(side.ordered))
    told = (Attributes(*map(list, named)), unusable, Spellings(facts.joined), Indices(end))
    outputs.write(kept, run, table, *told)
    index.destroy()


def _unusable_numbers(ordered: Rows) -> dict[str, int]:
    """By the name of a number, in how many usable rows there is a text that is none."""
    counted = ordered.map(merging.count_unusable, UNUSABLE).table()
    found = counted.group_by("name").aggregate([("count", "sum")]).sort_by("name")
    return dict(zip(found["name"].to_pylist(), found["count_sum"].to_pylist(), strict=True))


def _account(
    run: StageRun[AttributesConfig], flow: Flow, sides: Sequence[_Side], left_out: Dataset
) -> None:
    """Raises DataError where the rows written are not those read, EmptyDatasetError where a
    side has none.
    """
    rows = flow.read(left_out)
    for side in sides:
        columns = ("outcome", "reason", "source_file", "raw", "side")
        mine = partial(only, value=side.name)
        task = partial(through, tasks=(mine, judging.count_reasons))
        found = judging.reasons_of(rows.map(columns, task, judging.COUNTED).table())
        totals = {
            what: judging.total_of(one for one in found if one.outcome == what)
            for what in ("merged", "rejected")
        }
        reasons = {f"{one.outcome}: {one.reason}": one.rows for one in found}
        kept = run.outputs.rows(f"{side.name}_attributes")
        accounts = {"read": side.read, "kept": kept, **totals}
        if side.hidden:
            accounts["forgotten"] = side.hidden
        if side.read != kept + side.hidden + sum(totals.values()):
            raise DataError(
                f"the rows of {side.name}s do not add up: {accounts}; were the input files changed?"
                " Run it again"
            )
        if kept == 0:
            raise EmptyDatasetError(
                f"none of the {side.read} rows of {side.name} attributes can be used"
                f" ({'; '.join(reasons)})"
            )
        run.outputs.finish(f"{side.name}_attributes", Accounts(accounts, reasons))
