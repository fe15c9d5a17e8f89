"""Decoded pictures as the tables of a stage: judged, numbered, accounted for.

    read = kept + rejected

One that cannot be used is in the table of those with its reason; none ends the stage.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import firsts, media
from emberline.cleaning.firsts import COUNTED, GOOD, JUDGED, NAMED, ORDERED, PLACED, SUMS
from emberline.cleaning.media import PARKED
from emberline.cleaning.shield import media_task
from emberline.datasets import parked
from emberline.datasets.facts import Accounts, Channels, GivenSplits, Indices, Pictures
from emberline.datasets.rows import Task, through
from emberline.datasets.schema import TABLES
from emberline.errors import DataError, EmberlineError, EmptyDatasetError
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows
from emberline.logs import event
from emberline.raw import ids
from emberline.raw.ids import Numbered
from emberline.raw.shields import shield_of
from emberline.runs.stage_run import StageRun

log = logging.getLogger(__name__)
_SMALL_PART, _LARGE_PART = 8 << 20, 256 << 20  # bytes of pixels
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Encoded:
    """Work to read encoded files, in the order of files, and what makes media.DECODED of it, all
    of a size; `what` is in each: picture, for example, of which at most so many bytes are to be
    `played`, and `path` is where they are. `apart` says whether there is so much for Python to
    decode that processes of their own are worth their start, `is_named` whether files are named by
    items' ids.
    """

    work: Rows
    decode: Task
    apart: bool
    size: Pictures
    what: str
    path: str
    played: int = 0
    is_named: bool = False


def write(flow: Flow, run: StageRun[Any], encoded: Encoded, table: str, rejected: str) -> None:
    """Decode it and park the pixels; judge, number and count it by what is known of it; write the
    stage's tables of what is kept and of what is rejected.

    Raises DataError where one is missing or twice there, EmptyDatasetError where none is left.
    """
    park = partial(parked.park, task=encoded.decode, column="pixels", folder=_folder(run))
    work = encoded.work.apart if encoded.apart else encoded.work.map
    decoded = _shown(work(park, PARKED), run, encoded.is_named).kept()
    read = _total(decoded.select({"value": "split"}).map(firsts.count, COUNTED).table())
    good = decoded.map(partial(firsts.usable, blocks=flow.parts), GOOD).together(flow.parts)
    judge = partial(firsts.judge, what=encoded.what, blocks=flow.parts)
    judged = good.map(judge, JUDGED).kept()
    numbered = _write_kept(flow, run, judged, encoded, table, read)
    schema = TABLES[rejected]
    unusable = decoded.map(partial(firsts.unusable, schema=schema), schema)
    repeated = judged.map(partial(firsts.repeated, schema=schema), schema)
    outputs.write(unusable.union(repeated), run, rejected)
    run.outputs.finish(table, Indices(numbered.next_index))
    _account(run, read, table, _counts(flow, run, rejected, "reason"), encoded)
    _tell_splits(run, table, _counts(flow, run, table, "split"), encoded)
    run.outputs.finish(table, channels_of(judged, run.outputs.rows(table), encoded.size))


def _shown(decoded: Rows, run: StageRun[Any], is_named: bool) -> Rows:
    """PARKED with pseudonyms, where the pipeline has those of items."""
    shield = shield_of(run)
    if shield.key is None or "item" not in shield.sides:
        return decoded
    return decoded.map(partial(media_task, key=shield.key, is_named=is_named), PARKED)


@contextmanager
def names_hidden(run: StageRun[Any]) -> Iterator[None]:
    """An error that names a file by its id, in the words of pseudonyms where items have these."""
    shield = shield_of(run)
    try:
        yield
    except EmberlineError as error:
        if shield.key is None or "item" not in shield.sides:
            raise
        told = str(error)
        for file in (file for files in run.inputs.sources for file in files):
            for name in (file.relative, file.name):
                told = told.replace(name, shield.key.file_name(file.relative))
        raise type(error)(told) from None


def _write_kept(
    flow: Flow, run: StageRun[Any], judged: Rows, encoded: Encoded, table: str, read: int
) -> Numbered:
    """Write what is kept, in the order of files, with the pixels that were parked."""
    coded = ids.coded_ids(judged.map(firsts.named, NAMED), "item_id", "spelling")
    numbered = ids.number(flow, coded, ids.known(run, "item"))
    index = flow.share(numbered.index_of(ids.facts_of(coded).codes))
    parts = parts_of(flow.cores, read * encoded.size.bytes)
    kept = judged.map(partial(firsts.numbered, index=index, parts=parts), ORDERED)
    ordered = kept.together(parts).map(firsts.in_order, PLACED)
    rows = media.rows_per_batch([encoded.size.bytes + encoded.played])
    fetch = partial(parked.fetch, column="pixels", folder=_folder(run), rows=rows)
    if "clip" in TABLES[table].names:
        apart = partial(media.clips_apart, size=encoded.size.bytes)
        fetch = partial(through, tasks=(fetch, apart))
    outputs.write(ordered, run, table, encoded.size, through=fetch)
    index.destroy()
    return numbered


def _folder(run: StageRun[Any]) -> str:
    """Where pixels are parked."""
    return str(run.outputs.scratch / "pixels")


def parts_of(cores: int, size: int) -> int:
    """In how many parts pixels of so many bytes are written: one per core where there is enough to
    write, and none too large.
    """
    return max(min(cores, -(-size // _SMALL_PART)), -(-size // _LARGE_PART), 1)


def _total(counted: pa.Table) -> int:
    return pc.sum(counted["rows"]).as_py() or 0


def _counts(flow: Flow, run: StageRun[Any], table: str, column: str) -> dict[str, int]:
    """How often each value is in a column of a table that was written; frequent ones first."""
    rows = flow.read(run.outputs.written(table)).map([column], firsts.count, COUNTED)
    found = rows.table().group_by("value").aggregate([("rows", "sum")])
    pairs = [pair for pair in zip(*found.to_pydict().values(), strict=True) if pair[0] is not None]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def _account(
    run: StageRun[Any], read: int, table: str, reasons: dict[str, int], encoded: Encoded
) -> None:
    kept, rejected = run.outputs.rows(table), sum(reasons.values())
    accounts = {"read": read, "kept": kept, "rejected": rejected}
    if read != kept + rejected:
        raise DataError(
            f"the {encoded.what}s do not add up: {accounts}; were the files changed while they were"
            " read? Run it again"
        )
    if kept == 0:
        top = "; ".join(f"{count} {reason}" for reason, count in list(reasons.items())[:3])
        raise EmptyDatasetError(
            f"{encoded.path}: of {read} {encoded.what}s none can be used ({top})"
        )
    run.outputs.finish(table, Accounts(accounts, reasons))


def _tell_splits(run: StageRun[Any], table: str, splits: dict[str, int], encoded: Encoded) -> None:
    """Say what is for training, validation and test, where the publisher does."""
    if splits:
        counts = ", ".join(f"{splits[split]:,} {split}" for split in _SPLITS if split in splits)
        run.control.progress(
            f"the {encoded.what}s come split, as their folders or files are called: {counts}"
            f" ({run.stage.section}.split)"
        )
        log.info(event(f"{encoded.what}s_split", path=encoded.path, **splits))
    run.outputs.finish(table, GivenSplits(splits))


def channels_of(judged: Rows, kept: int, size: Pictures) -> Channels:
    """The mean and deviation of each channel over all pixels of what is kept, as shares of full
    brightness, 0..1. Sums are whole numbers: those of a part have 64 bits.
    """
    found, pixels = judged.map(firsts.add_up, SUMS).table(), kept * size.height * size.width
    levels, squares = (
        np.array([sum(each) for each in zip(*found[name].to_pylist(), strict=True)], np.float64)
        / pixels
        for name in SUMS.names
    )
    return Channels(
        mean=(levels / 255).tolist(),
        std=(np.sqrt(np.maximum(squares - levels**2, 0)) / 255).tolist(),
    )
