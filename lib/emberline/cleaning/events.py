"""Raw interactions, as texts, to clean events, or to a reason why a row is none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import ids, numbers, texts, times
from emberline.cleaning.ids import IdRules
from emberline.cleaning.numbers import NumberRules
from emberline.cleaning.texts import TextRules

_FLOAT_MAX = 3.4028235e38
WEIGHS_NOTHING, TOO_EARLY, TOO_LATE = FILTERED = (
    "event weighs 0",
    "earlier than since",
    "not before until",
)
SPLITS = {  # what publishers call the sets
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}
SCHEMA = pa.schema(
    {
        "source_file": pa.string(),
        "raw": pa.string(),
        "user_id": pa.string(),
        "item_id": pa.string(),
        "value": pa.float32(),
        "timestamp": times.MOMENT,
        "title": pa.string(),
        "outcome": pa.string(),
        "reason": pa.string(),
        "user_spelling": pa.string(),
        "item_spelling": pa.string(),
        "split": pa.string(),
    }
)


@dataclass(frozen=True)
class EventRules:
    """What a clean event is.

    `columns` are those that the input has: user_id, item_id, and some of value, timestamp, title,
    event and split. `reject` has pairs of (pattern, reason), of which the n-th looks at the column
    `_rule_n`. Events from `since` on and before `until` are wanted.
    """

    columns: frozenset[str]
    texts: TextRules = field(default_factory=TextRules)
    users: IdRules = field(default_factory=IdRules)
    items: IdRules = field(default_factory=IdRules)
    numbers: NumberRules = field(default_factory=NumberRules)
    value: Literal["rating", "count", "one"] = "rating"
    min_value: float | None = None
    max_value: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    default_weight: float | None = None
    timestamp_format: str = "seconds"
    since: datetime | None = None
    until: datetime | None = None
    reject: tuple[tuple[str, str], ...] = ()


class _Reasons:
    """The first reason that is found for each row."""

    def __init__(self, problem: pa.Array) -> None:
        self.found = problem

    def add(self, condition: pa.Array, reason: str) -> None:
        """Rows for which the condition holds have this reason, unless they have one already."""
        self.found = pc.coalesce(self.found, pc.if_else(condition, reason, None))

    def outcomes(self) -> pa.Array:
        """What becomes of each row: `filtered` where it is a good one, but not wanted."""
        outcome = pc.if_else(
            pc.is_in(self.found, value_set=pa.array(FILTERED)), "filtered", "rejected"
        )
        return pc.if_else(self.found.is_valid(), outcome, None)


def in_set(batches: Iterator[pa.RecordBatch], name: str, place: str) -> Iterator[pa.RecordBatch]:
    """SCHEMA to SCHEMA: all rows are of a set, by files that a setting (`place`) names."""
    for batch in batches:
        said = {
            "split": pa.repeat(name, batch.num_rows),
            "source_file": pc.binary_join_element_wise(place, batch["source_file"], ", "),
        }
        columns = [said.get(field.name, batch[field.name]) for field in SCHEMA]
        yield pa.record_batch(columns, schema=SCHEMA)


NEWEST = pa.schema([("newest", times.MOMENT)])


def newest_of(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """SCHEMA to NEWEST: the time of the newest good row."""
    for batch in batches:
        newest = pc.max(batch["timestamp"].filter(batch["reason"].is_null()))
        yield pa.record_batch([pa.array([newest.as_py()], times.MOMENT)], schema=NEWEST)


def leave_out_before(
    batches: Iterator[pa.RecordBatch], begin: datetime, reason: str
) -> Iterator[pa.RecordBatch]:
    """Good rows earlier than `begin` are `filtered`, for a reason."""
    for batch in batches:
        is_old = pc.less(batch["timestamp"], pa.scalar(begin, times.MOMENT)).fill_null(False)
        is_old = pc.and_(is_old, batch["reason"].is_null())
        for name, text in (("outcome", "filtered"), ("reason", reason)):
            column = pc.if_else(is_old, text, batch[name])
            batch = batch.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), column)
        yield batch


def clean(rows: pa.RecordBatch, rules: EventRules) -> pa.RecordBatch:
    """Columns of SCHEMA; `reason` is null for a good row, a spelling is null where it is the id
    itself.

    rows: columns source_file, raw, problem, those of the rules, and `_rule_n` for the n-th pattern,
    as texts.
    """
    found = {name: texts.clean(rows[name], rules.texts) for name in sorted(rules.columns)}
    reasons = _Reasons(rows["problem"])
    for place, (pattern, reason) in enumerate(rules.reject):
        reasons.add(texts.matches(rows[f"_rule_{place}"], pattern), reason)
    named = {
        side: ids.clean(found[side], kind)
        for side, kind in (("user_id", rules.users), ("item_id", rules.items))
    }
    for side, (spelled, _) in named.items():
        reasons.add(pc.is_null(spelled), f"{side} is missing")
    for side, (_, one) in named.items():
        reasons.add(pc.is_null(one), f"{side} is not an integer")
    value = _values(found, rules, reasons, rows.num_rows)
    moments = _moments(found, rules, reasons, rows.num_rows)
    splits = _splits(found, reasons, rows.num_rows)
    _leave_out(found, moments, rules, reasons)
    columns = {
        "source_file": rows["source_file"],
        "raw": rows["raw"],
        "user_id": named["user_id"][1],
        "item_id": named["item_id"][1],
        "value": value,
        "timestamp": moments,
        "title": found["title"] if "title" in found else pa.nulls(rows.num_rows, pa.string()),
        "outcome": reasons.outcomes(),
        "reason": reasons.found,
        "user_spelling": _other_spelling(rows["user_id"], named["user_id"][0]),
        "item_spelling": _other_spelling(rows["item_id"], named["item_id"][0]),
        "split": splits,
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=SCHEMA)


def _other_spelling(written: pa.Array, cleaned: pa.Array) -> pa.Array:
    """What stands in the file, but for blanks around it, where the rules for texts have made
    something else of it.
    """
    plain = pc.utf8_trim(written, characters=" ")
    return pc.if_else(pc.fill_null(pc.equal(plain, cleaned), True), None, plain)


def _values(
    found: dict[str, pa.Array], rules: EventRules, reasons: _Reasons, count: int
) -> pa.Array:
    value = pa.array([1.0]).take(pa.array([0] * count, pa.int8()))
    if "event" in found:
        value = _weights(found["event"], rules, reasons)
    if "value" in found:
        value = pc.multiply(_numbers(found["value"], rules, reasons), value)
        reasons.add(pc.greater(pc.abs(value), _FLOAT_MAX), "value does not fit a float32")
    inside = pc.less_equal(pc.abs(value), _FLOAT_MAX)
    return pc.cast(pc.if_else(inside, value, None), pa.float32())


def _weights(events: pa.Array, rules: EventRules, reasons: _Reasons) -> pa.Array:
    """What each kind of event weighs."""
    reasons.add(pc.is_null(events), "event is missing")
    place = pc.index_in(events, value_set=pa.array(list(rules.weights), pa.string()))
    weight = pa.array(list(rules.weights.values()), pa.float64()).take(place)
    if rules.default_weight is not None:
        weight = pc.fill_null(weight, rules.default_weight)
    reasons.add(pc.is_null(weight), "event has no weight")
    return weight


def _numbers(found: pa.Array, rules: EventRules, reasons: _Reasons) -> pa.Array:
    value = numbers.parse(found, rules.numbers)
    reasons.add(pc.is_null(found), "value is missing")
    reasons.add(pc.is_null(value), "value is not a number")
    reasons.add(pc.greater(pc.abs(value), _FLOAT_MAX), "value does not fit a float32")
    if rules.value == "count":
        inside = pc.less_equal(pc.abs(value), _FLOAT_MAX)
        single = pc.cast(pc.if_else(inside, value, None), pa.float32())
        reasons.add(pc.less_equal(single, 0.0), "count is not positive")
    if rules.min_value is not None:
        reasons.add(pc.less(value, rules.min_value), f"value is below {rules.min_value:g}")
    if rules.max_value is not None:
        reasons.add(pc.greater(value, rules.max_value), f"value is above {rules.max_value:g}")
    return value


def _moments(
    found: dict[str, pa.Array], rules: EventRules, reasons: _Reasons, count: int
) -> pa.Array:
    if "timestamp" not in found:
        return pa.nulls(count, times.MOMENT)
    moments = times.parse(found["timestamp"], rules.timestamp_format)
    reasons.add(pc.is_null(found["timestamp"]), "timestamp is missing")
    reasons.add(pc.is_null(moments), f"timestamp is not {rules.timestamp_format}")
    return moments


def _splits(found: dict[str, pa.Array], reasons: _Reasons, count: int) -> pa.Array:
    """The publisher's split of each row, as `SPLITS` has it."""
    if "split" not in found:
        return pa.nulls(count, pa.string())
    place = pc.index_in(pc.utf8_lower(found["split"]), value_set=pa.array(list(SPLITS)))
    splits = pa.array(list(SPLITS.values())).take(place)
    reasons.add(pc.is_null(splits), "split is none of train, validation and test")
    return splits


def _leave_out(
    found: dict[str, pa.Array], moments: pa.Array, rules: EventRules, reasons: _Reasons
) -> None:
    """Good rows that are not wanted."""
    if nothing := [event for event, weight in rules.weights.items() if weight == 0]:
        reasons.add(pc.is_in(found["event"], value_set=pa.array(nothing)), WEIGHS_NOTHING)
    if rules.since:
        reasons.add(pc.less(moments, pa.scalar(rules.since, times.MOMENT)), TOO_EARLY)
    if rules.until:
        reasons.add(pc.greater_equal(moments, pa.scalar(rules.until, times.MOMENT)), TOO_LATE)
