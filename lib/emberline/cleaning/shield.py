"""What stands between cleaned rows and everything that is written: outside ids become pseudonyms,
raw texts lose theirs, and rows of people who were forgotten are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import attributes, events, ids
from emberline.cleaning.attributes import AttributeRules
from emberline.cleaning.events import EventRules
from emberline.cleaning.forgotten import FORGOTTEN, Forgotten
from emberline.cleaning.ids import IdRules
from emberline.cleaning.pseudonyms import Key, of_distinct
from emberline.numeric.arrays import Bool

HIDDEN = pa.schema([("rows", pa.int64())])
_OWN = ("source_file", "raw", "problem")  # columns that are not of the record


@dataclass(frozen=True)
class Shield:
    """The `key` of pseudonyms, which ids of these `sides` (user, item) get; whether raw texts are
    written again without those, or left out; and who was forgotten.
    """

    key: Key | None = None
    sides: frozenset[str] = frozenset()
    raw: Literal["replaced", "none"] = "replaced"
    forgotten: Forgotten = field(default_factory=Forgotten)

    def __bool__(self) -> bool:
        return bool(self.sides or self.forgotten)

    def shown(self, side: str, texts: pa.Array) -> pa.Array:
        """What tables have instead of outside ids (n,)."""
        if self.key is None or side not in self.sides:
            return texts
        return self.key.pseudonyms(side, texts)


@dataclass(frozen=True)
class _Ids:
    """A side's columns of cleaned rows, the one of raw rows, and what makes ids of its texts."""

    side: str
    column: str
    spelling: str
    rules: IdRules


def events_task(
    batches: Iterator[pa.RecordBatch], rules: EventRules, shield: Shield
) -> Iterator[pa.RecordBatch]:
    """Raw rows to events.SCHEMA."""
    sides = (
        _Ids("user", "user_id", "user_spelling", rules.users),
        _Ids("item", "item_id", "item_spelling", rules.items),
    )
    for rows in batches:
        cleaned = events.clean(rows, rules)
        yield _shielded(rows, cleaned, sides, shield) if shield else cleaned


def attributes_task(
    batches: Iterator[pa.RecordBatch], rules: AttributeRules, shield: Shield, side: str
) -> Iterator[pa.RecordBatch]:
    """Raw rows of what is said of a side to attributes.SCHEMA."""
    sides = (_Ids(side, "id", "spelling", rules.ids),)
    for rows in batches:
        cleaned = attributes.clean(rows, rules)
        yield _shielded(rows, cleaned, sides, shield) if shield else cleaned


def media_task(
    batches: Iterator[pa.RecordBatch], key: Key, is_named: bool
) -> Iterator[pa.RecordBatch]:
    """Rows with columns item_id and source_file to the same, pseudonyms in the place of ids, and of
    the names of files where those are named by ids.
    """
    for batch in batches:
        found = {"item_id": key.pseudonyms("item", batch["item_id"])}
        if is_named:
            found["source_file"] = of_distinct(batch["source_file"], key.file_name, pa.string())
        columns = [found.get(name, batch[name]) for name in batch.schema.names]
        yield pa.record_batch(columns, schema=batch.schema)


def is_hidden(batch: pa.RecordBatch) -> pa.Array:
    """Whether each row is of somebody who was forgotten."""
    return pc.fill_null(pc.equal(batch["reason"], FORGOTTEN), False)


def hidden_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cleaned rows to HIDDEN."""
    for batch in batches:
        yield pa.record_batch([[pc.sum(is_hidden(batch)).as_py() or 0]], schema=HIDDEN)


def _shielded(
    rows: pa.RecordBatch, cleaned: pa.RecordBatch, sides: Sequence[_Ids], shield: Shield
) -> pa.RecordBatch:
    columns = dict(zip(cleaned.schema.names, cleaned.columns, strict=True))
    for of in sides:
        for name in (of.column, of.spelling):
            columns[name] = shield.shown(of.side, cleaned[name])
    if shield.sides & {of.side for of in sides}:
        columns["raw"] = _raw(rows, cleaned, sides, shield)
    if shield.forgotten and sides[0].side == "user":
        _hide(columns, _hidden(rows, columns, sides[0], shield))
    return pa.record_batch(list(columns.values()), schema=cleaned.schema)


def _raw(
    rows: pa.RecordBatch, cleaned: pa.RecordBatch, sides: Sequence[_Ids], shield: Shield
) -> pa.Array:
    """The record as an object of JSON with pseudonyms; nothing of one that could not be cut into
    fields, whose ids nobody can point at.
    """
    nothing = pa.repeat("", rows.num_rows)
    if shield.raw == "none":
        return nothing
    said = {name: rows[name] for name in rows.schema.names}
    for of in sides:
        written = pc.coalesce(cleaned[of.column], pc.utf8_trim(rows[of.column], characters=" "))
        said[of.column] = shield.shown(of.side, written)
    pieces: list[pa.Array | str] = []
    for name, texts in said.items():
        if name not in _OWN and not name.startswith("_"):
            pieces += [f'{", " if pieces else "{"}"{name}": ', _quoted(texts)]
    return pc.if_else(rows["problem"].is_null(), _joined([*pieces, "}"]), nothing)


def _joined(pieces: Sequence[pa.Array | str]) -> pa.Array:
    return pc.binary_join_element_wise(*pieces, "")


def _quoted(texts: pa.Array) -> pa.Array:
    """Each text as JSON has it."""
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    plain = pc.replace_substring_regex(escaped, r"[\x00-\x1f]", " ")
    return pc.fill_null(_joined(['"', plain, '"']), "null")


def _hidden(rows: pa.RecordBatch, columns: dict[str, pa.Array], of: _Ids, shield: Shield) -> Bool:
    """The rows of people who were forgotten, among them those that cannot be cut into fields, or
    have no id, but name one.
    """
    hidden = shield.forgotten.hides(columns[of.column], columns.get("timestamp"))
    lost = np.flatnonzero(columns[of.column].is_null().to_numpy(zero_copy_only=False))
    if len(lost):
        clean = partial(_ids_of, of=of, shield=shield)
        raw = rows["raw"].take(pa.array(lost))
        hidden[lost] = shield.forgotten.is_spoken_of(raw, clean)
    return hidden


def _ids_of(words: pa.Array, of: _Ids, shield: Shield) -> pa.Array:
    return shield.shown(of.side, ids.clean(words, of.rules)[1])


def _hide(columns: dict[str, pa.Array], hidden: Bool) -> None:
    """Of those rows nothing stays but that they were there."""
    if not hidden.any():
        return
    is_hidden = pa.array(hidden)
    for name, column in columns.items():
        if name not in ("source_file", "raw", "reason", "outcome", "value"):
            nothing = pa.nulls(len(column), column.type)
            columns[name] = pc.if_else(is_hidden, nothing, column)
    columns["raw"] = pc.if_else(is_hidden, "", columns["raw"])
    columns["reason"] = pc.if_else(is_hidden, FORGOTTEN, columns["reason"])
    if "outcome" in columns:
        columns["outcome"] = pc.if_else(is_hidden, "forgotten", columns["outcome"])
