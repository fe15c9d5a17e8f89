"""Pictures in raw Parquet files: encoded bytes, or structs of them as Hugging Face has them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.errors import DataError, SchemaError
from emberline.records.arrow_texts import as_text, plain, plain_type
from emberline.records.heads import Wanted
from emberline.records.parquet_columns import (
    check_is_bytes,
    check_type,
    find_columns,
    names_of,
)
from emberline.records.parquet_file import (
    BATCH_ROWS,
    Layout,
    explained,
    layout_of,
    open_whole,
    piece_of,
    rows_of,
)

_READ = ["source_file", "position", "item_id", "label", "group", "content"]
_BATCH_BYTES = 16 << 20  # of encoded pictures


def picture_layout(file: Any, name: str, wanted: Wanted, label_names: Sequence[str] = ()) -> Layout:
    """What the footer of a file of pictures says: the column `image` is bytes, or a struct with a
    field `bytes`.

    Raises as `layout`, and SchemaError for labels that are no numbers though they have
    `label_names`.
    """
    opened = open_whole(file, name)
    with explained(name):
        found = find_columns(opened, name, names_of(wanted), ("image",))
    for new, column in found.items():
        if new == "image":
            check_is_bytes(column, name)
        else:
            check_type(column, name, False)
    if (
        label_names
        and "label" in found
        and not pa.types.is_integer(plain_type(found["label"].kind))
    ):
        label = found["label"]
        raise SchemaError(
            f"{name}: column {label.name!r} is {label.kind}, and label_names are for numbers from"
            " 0; remove images.label_names"
        )
    return layout_of(opened, name)


def read_pictures(
    batches: Iterator[pa.RecordBatch],
    wanted: Wanted,
    label_names: Sequence[str],
    opened: Callable[[str], Any],
) -> Iterator[pa.RecordBatch]:
    """TASKS to columns source_file, position, item_id, label, group and content, of the wanted
    columns item_id, image, label and group.

    Raises DataError for a label without a name, and as `read`.
    """
    for batch in batches:
        for task in batch.to_pylist():
            with opened(task["uri"]) as file:
                position = task["first_row"] + task["start"]
                for values in _pictures(file, task, wanted):
                    rows = len(values["image"])
                    known = [pa.repeat(pa.scalar(task["source_file"], pa.string()), rows)]
                    known += [
                        pa.array(np.arange(position, position + rows)),
                        as_text(values["item_id"])[0],
                    ]
                    nothing = pa.nulls(rows, pa.string())
                    known.append(
                        _labels(values["label"], label_names, task["uri"])
                        if "label" in values
                        else nothing
                    )
                    known.append(as_text(values["group"])[0] if "group" in values else nothing)
                    content = values["image"].cast(pa.binary())
                    yield pa.record_batch([*known, content], _READ)
                    position += rows


def _pictures(file: Any, task: Mapping[str, Any], wanted: Wanted) -> Iterator[dict[str, pa.Array]]:
    opened = open_whole(file, task["uri"])
    found = find_columns(opened, task["uri"], names_of(wanted), ("image",))
    rows = max(1, min(BATCH_ROWS, _BATCH_BYTES * task["rows"] // max(task["bytes"], 1)))
    for batch in rows_of(opened, task["uri"], piece_of(task), found, rows):
        yield {new: plain(column.of(batch)) for new, column in found.items()}


def _labels(values: pa.Array, names: Sequence[str], name: str) -> pa.Array:
    """Labels as text: numbers by their names, where there are any, and none for those below 0."""
    if not names or not pa.types.is_integer(values.type):
        return as_text(values)[0]
    numbers = pc.if_else(pc.less(values, 0), pa.scalar(None, values.type), values).cast(pa.int64())
    highest = pc.max(numbers).as_py()
    if highest is not None and highest >= len(names):
        raise DataError(
            f"{name}: label {highest} has no name: images.label_names has {len(names)}, for 0 to"
            f" {len(names) - 1}"
        )
    return pa.array(names, pa.string()).take(numbers)
