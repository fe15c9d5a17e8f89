"""Append-only id maps: an outside id gets a dense index once and keeps it, whichever stage meets it
first.

Ratings, attributes and pictures name items that the others may not know: all of them number ids
after the end of all that any of their datasets under the root holds. Attributes and pictures may
lose an id again; the manifests' `next_index` keeps its index from being given to another.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow.compute as pc

from emberline.cleaning import codes, numbering
from emberline.cleaning.codes import CODED, FACTS, FOUND, HASHED, Lookup
from emberline.cleaning.numbering import COUNTS, INDICES, MET, SAMPLES
from emberline.datasets.facts import Indices
from emberline.datasets.manifest import Dataset
from emberline.datasets.schema import TABLES
from emberline.errors import DataError
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows
from emberline.numeric.arrays import Int32
from emberline.numeric.shared import Shared
from emberline.raw.shields import reserved
from emberline.runs.stage_run import StageRun

ID_TABLES = {
    "user": ("users", "user_attributes"),
    "item": ("items", "item_attributes", "images", "sounds"),
}
_MAX_INDEX = 2**31 - 1


@dataclass(frozen=True)
class Known:
    """The datasets that have indices of a side (user or item), of which `own` is what the stage
    itself wrote before; `next_index` is the first index that none has ever had; of people who
    were forgotten, whose indices are `reserved`, nothing is known.
    """

    side: str
    datasets: Sequence[Dataset]
    own: Dataset | None = None
    next_index: int = 0
    reserved: frozenset[int] = frozenset()

    @property
    def contradiction(self) -> str:
        """What is said where they contradict each other."""
        names = ", ".join(dataset.name for dataset in self.datasets)
        place = self.datasets[0].folder.parent if self.datasets else ""
        return (
            f"{names} in {place} give one {self.side} two indices: one was restored from another"
            " root or time; remove it and run its stage again"
        )


def known(run: StageRun[Any], side: str, own: str | None = None) -> Known:
    """Every dataset under the root that has an index for an id of a side (user or item); `own`
    is the name of the one that this stage writes.

    What is no input of the stage is recorded as lineage.
    """
    opened = {name: run.inputs.get(name) or run.outputs.previous(name) for name in ID_TABLES[side]}
    datasets = [dataset for dataset in opened.values() if dataset is not None]
    ends = (dataset.manifest.given(Indices) for dataset in datasets)
    next_index = max((end.next_index for end in ends if end), default=0)
    return Known(side, datasets, opened.get(own or ""), next_index, reserved(run, side))


@dataclass(frozen=True)
class Numbered:
    """MET with an index each: `before` has the ids that had one, `new` those that got theirs;
    `next_index` is the first that none has.
    """

    before: Rows
    new: Rows
    next_index: int

    @property
    def rows(self) -> Rows:
        return self.before.union(self.new)

    def index_of(self, codes: int) -> Int32:
        """The index of each of so many codes; -1 where none has that code."""
        return numbering.index_of(self.rows.map(numbering.indices, INDICES).table(), codes)


def coded_ids(cleaned: Rows, id_column: str, spelling: str, with_titles: bool = False) -> Rows:
    """CODED: the ids of the good ones of cleaned rows, from a column each of ids and of their other
    spellings, and maybe their newest titles.
    """
    parts = cleaned.flow.parts
    wanted = [id_column, spelling, "reason", *(("title", "timestamp") if with_titles else ())]
    find = partial(
        codes.find_ids,
        id_column=id_column,
        spelling=spelling,
        with_titles=with_titles,
        blocks=parts,
    )
    found = cleaned.select({name: name for name in wanted}).map(find, FOUND).together(parts)
    return found.map(partial(codes.code_ids, blocks=parts), CODED).kept()


@dataclass(frozen=True)
class Coded:
    """Facts of CODED: how many `ids` there are, below which number `codes` are, and how many
    spellings were `joined`.
    """

    ids: int
    codes: int
    joined: int


def facts_of(coded: Rows) -> Coded:
    """Counted part by part."""
    found = coded.map(codes.facts_of, FACTS).table()
    ids, joined = (pc.sum(found[name]).as_py() or 0 for name in ("ids", "joined"))
    return Coded(ids, pc.max(found["codes"]).as_py() or 0, joined)


def lookup_of(coded: Rows) -> Lookup:
    """The codes of CODED by ids' hashes, which are salted until no two are equal."""
    for salt in itertools.count(1):
        found = coded.map(partial(codes.hash_ids, salt=salt), HASHED).table().sort_by("hash")
        hashes, of_ids = (column.to_numpy() for column in found.columns)
        if not np.any(hashes[1:] == hashes[:-1]):
            return Lookup(hashes, of_ids, salt)
    raise AssertionError


def number(flow: Flow, coded: Rows, before: Known, wanted: Shared | None = None) -> Numbered:
    """Indices for the ids in CODED, of which those are to have one whose codes are `wanted`
    (codes,), or all.

    Raises DataError where datasets contradict each other, and past 2^31 - 1 ids.
    """
    met = _meet(flow, coded, before, wanted).kept()
    start = max(before.next_index, _end(met, before))
    counts, ordered = _in_order(flow, met.map(numbering.lacking_index, MET))
    total = sum(count for _, count in counts)
    if start + total > _MAX_INDEX:
        raise DataError(
            f"{start + total} ids of {before.side}s: an index is an int32, so {_MAX_INDEX} is the"
            " most"
        )
    first = numbering.offsets(counts, start)
    new = ordered.map(partial(numbering.numbered, first=first), MET)
    return Numbered(met.map(numbering.having_index, MET), new, start + total)


def indices_of(flow: Flow, coded: Rows, before: Known, count: int) -> Int32:
    """The index that each of so many codes (count,) has already; -1 where it has none, or none has
    that code. Raises DataError where datasets contradict each other.
    """
    met = _meet(flow, coded, before).map(numbering.having_index, MET)
    return numbering.index_of(met.map(numbering.indices, INDICES).table(), count)


def _meet(flow: Flow, coded: Rows, before: Known, wanted: Shared | None = None) -> Rows:
    """MET: the ids of CODED, and all that are known, each once."""
    rows = coded.map(partial(numbering.coded, wanted=wanted, blocks=flow.parts), MET)
    rows = reduce(lambda ids, table: ids.union(table), _known_rows(flow, before), rows)
    meet = partial(numbering.meet, contradiction=before.contradiction)
    return rows.together(flow.parts).map(meet, MET)


def _known_rows(flow: Flow, before: Known) -> list[Rows]:
    return [
        flow.read(dataset).map(
            _columns(before.side, dataset is before.own and dataset.name == "items"),
            partial(
                numbering.known,
                own=dataset is before.own,
                blocks=flow.parts,
                reserved=before.reserved,
            ),
            MET,
        )
        for dataset in before.datasets
    ]


def _columns(side: str, with_title: bool) -> list[str]:
    return [side, f"{side}_id", *(["title"] if with_title else [])]


def _end(met: Rows, before: Known) -> int:
    """The first index that no id has. Raises DataError where one index is two ids'."""
    if not before.datasets:
        return 0
    index = met.map(numbering.indices, INDICES).table()["index"].drop_null()
    if len(pc.unique(index)) < len(index):
        raise DataError(before.contradiction)
    last: int | None = pc.max(index).as_py()
    return 0 if last is None else last + 1


def _in_order(flow: Flow, ids: Rows) -> tuple[list[tuple[int, int]], Rows]:
    """How many ids each range has, and MET numbered within ranges in the order of text."""
    ranges = flow.parts
    sampled = ids.map(partial(numbering.sample, ranges=ranges), SAMPLES).table()
    begin = numbering.boundaries(sampled["prefix"].to_pylist(), ranges)
    dealt = ids.map(partial(numbering.in_ranges, begin=begin), MET).together(ranges)
    ordered = dealt.map(numbering.in_order, MET).kept()
    counted = ordered.map(numbering.count_blocks, COUNTS).table()
    return list(zip(*(column.to_pylist() for column in counted.columns), strict=True)), ordered


def write(
    flow: Flow, run: StageRun[Any], name: str, numbered: Numbered, columns: Mapping[str, str]
) -> None:
    """Write the ids that were wanted now or before as the stage's own table `name`, in the order
    of their indices; `columns` are MET's, by the table's names.
    """
    end, parts = numbered.next_index, flow.parts
    chosen = numbered.rows.map(partial(numbering.table_rows, end=end, blocks=parts), MET)
    task = partial(numbering.by_index, columns=columns, schema=TABLES[name])
    rows = chosen.together(parts).map(task, TABLES[name])
    outputs.write(rows, run, name, Indices(end))
