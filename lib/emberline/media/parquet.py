"""Encoded pictures in raw Parquet files."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from emberline.cleaning import media, texts
from emberline.cleaning.media import Known
from emberline.datasets import raw_files, rows
from emberline.datasets.listing import RawFile
from emberline.datasets.rows import Task
from emberline.flow.rows import Flow, Rows
from emberline.media.files import Naming
from emberline.raw import row_groups
from emberline.records import parquet_pictures
from emberline.records.heads import Wanted

_SMALL_PIECE = 256 << 10  # bytes of what is encoded that are not worth another task


def encoded_rows(
    flow: Flow,
    files: list[RawFile],
    wanted: Wanted,
    naming: Naming,
    splits: Sequence[str | None],
) -> tuple[Rows, Task, int]:
    """Tasks to read the wanted columns item_id, image, maybe label and group, what makes
    media.ENCODED of them, and how many there are. Raises as `parquet_pictures.picture_layout`.
    """
    facts: dict[str, Any] = {"wanted": wanted, "label_names": naming.label_names}
    layouts = row_groups.layouts_of(files, partial(parquet_pictures.picture_layout, **facts))
    read = partial(parquet_pictures.read_pictures, opened=raw_files.open_arrow, **facts)
    of_file = {file.relative: split for file, split in zip(files, splits, strict=True) if split}
    firsts, total = {}, 0
    for file, layout in zip(files, layouts, strict=True):
        firsts[file.relative] = total
        total += sum(layout.group_rows)
    clean = partial(texts.clean, rules=naming.rules)
    complete = partial(media.complete, known=Known(of_file, firsts, total), clean=clean)
    work = row_groups.tasks(flow, files, layouts, smallest=_SMALL_PIECE)
    return work, partial(rows.through, tasks=(read, complete)), total
