"""Splits that somebody has published: files of pairs of users and items, by their outside ids."""

import logging
from collections.abc import Mapping
from functools import partial

from emberline.cleaning import events, pairs, shield
from emberline.cleaning.pairs import SETS
from emberline.datasets import leaks
from emberline.datasets.leaks import LEAKS, RATED
from emberline.datasets.rows import rows_where
from emberline.datasets.withholding import HOLDOUT, VALIDATION
from emberline.errors import DataError
from emberline.flow.rows import Flow, Rows
from emberline.logs import event
from emberline.numeric.arrays import Int32
from emberline.raw import ids, rejects
from emberline.raw import pairs as raw_pairs
from emberline.raw.ids import Known
from emberline.raw.reading import Cleaning, read_raw
from emberline.raw.shields import shield_of
from emberline.runs.stage_run import StageRun
from emberline.sections.split import PairsConfig, SplitConfig

log = logging.getLogger(__name__)


def pairs_of(run: StageRun[SplitConfig], flow: Flow) -> tuple[Rows, dict[str, int]]:
    """The set that files of pairs put an interaction in, as pairs.GIVEN; and how many pairs they
    list for each set.

    Raises DataError for a pair in two sets, and where a row names no pair.
    """
    config = run.settings
    files = {HOLDOUT: config.pairs, VALIDATION: config.validation.pairs}
    listed = [_listed(run, flow, name, pairs) for name, pairs in files.items() if pairs]
    rows = listed[0] if len(listed) == 1 else listed[0].union(listed[1])
    coded = {
        side: ids.coded_ids(rows, f"{side}_id", f"{side}_spelling") for side in ("user", "item")
    }
    merged = raw_pairs.merge(rows, coded["item"], "latest").kept()
    raw_pairs.check_sets(merged, "remove the pair from one")
    users, items = (flow.share(_indices(run, flow, *each)) for each in coded.items())
    given = merged.map(partial(pairs.given, users=users, items=items), pairs.GIVEN)
    return given, _counts(merged.map(partial(pairs.count_sets, column="split"), SETS))


def _listed(run: StageRun[SplitConfig], flow: Flow, name: str, pairs_: PairsConfig) -> Rows:
    """One file's rows as events of a set. Raises DataError where a row names no pair."""
    setting = "split.pairs" if name == HOLDOUT else "split.validation.pairs"
    task = partial(shield.events_task, rules=pairs_.rules(), shield=shield_of(run))
    cleaning = Cleaning(task, events.SCHEMA)
    files = run.inputs.files(pairs_.path)
    rows = read_raw(flow, files, pairs_, pairs_.wanted(), cleaning=cleaning).kept()
    rejects.check_readable(rows, setting, pairs_.path)
    return rows.map(partial(events.in_set, name=name, place=setting), events.SCHEMA)


def _indices(run: StageRun[SplitConfig], flow: Flow, side: str, coded: Rows) -> Int32:
    """By the codes of the listed ids."""
    before = Known(side, [run.inputs[f"{side}s"]])
    return ids.indices_of(flow, coded, before, ids.facts_of(coded).codes)


def check_known(run: StageRun[SplitConfig], listed: Mapping[str, int], marked: Rows) -> None:
    """Say in the log and the metrics how many of the listed pairs no interaction has. Raises
    DataError where that is all of a file's.

    marked: the interactions, with what files say of them.
    """
    found = _counts(marked.map(partial(pairs.count_sets, column="given"), SETS))
    for name, count in listed.items():
        unknown = count - found.get(name, 0)
        log.info(event("pairs_given", set=name, pairs=count, unknown=unknown))
        run.outputs.measure(**{f"given_{name}": {"pairs": count, "unknown": unknown}})
        if unknown == count:
            raise DataError(
                f"split: none of the {count:,} pairs given for {name} is an interaction; compare"
                " their ids with those that emberline show prints of the datasets users and items,"
                " and set user_ids, item_ids, clean_user_ids and clean_item_ids as in [ratings]"
            )


def _counts(sets: Rows) -> dict[str, int]:
    found = sets.table().group_by("name").aggregate([("count", "sum")])
    return dict(zip(found["name"].to_pylist(), found["count_sum"].to_pylist(), strict=True))


def check_cold_items(run: StageRun[SplitConfig], marked: Rows) -> None:
    """Raises DataError where an item is withheld whole and is rated in another set, too."""
    parts = marked.flow.parts
    rated = marked.map(leaks.rated, RATED).together(parts)
    found = rated.map(leaks.leaking, LEAKS).table().sort_by("item").slice(0, 1).to_pylist()
    for leak in found:
        item = _called(run, "item", leak["item"])
        cold, warm = (_called(run, "user", leak[which]) for which in ("cold", "warm"))
        raise DataError(
            f"item {item!r} is cold in {HOLDOUT} (by user {cold!r}), and rated in {leak['place']}"
            f" (by user {warm!r}); list all of its pairs in split.pairs, or remove"
            " split.pairs.cold"
        )


def _called(run: StageRun[SplitConfig], side: str, index: int) -> str:
    found = rows_where(run.inputs[f"{side}s"], side, [index], [f"{side}_id"])
    called: str = found[f"{side}_id"][0].as_py()
    return called
