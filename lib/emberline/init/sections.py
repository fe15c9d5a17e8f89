"""The sections of a pipeline for what was found in files, as texts of TOML with a comment where
a person should look.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from emberline import extras
from emberline.cleaning import ids, numbers
from emberline.cleaning.numbers import NumberRules
from emberline.init import roles
from emberline.init.inspect import Table, kind_of_values
from emberline.init.recordings import Recordings
from emberline.look import fits
from emberline.records.arrow_texts import MOMENT

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALES = ((1.0, 5.0), (0.5, 5.0), (0.0, 5.0), (1.0, 7.0), (1.0, 10.0), (0.0, 10.0))
_NOBODY = "^ *(NULL|null|NA|N/A|nan|NaN|None)? *$"
_LIST_SEPARATORS = ("|", ";", ",", "/")
_SAID = ("title", "text", "genres", "tags")


@dataclass(frozen=True)
class Section:
    """One section: its name, its lines, and what a person should check."""

    name: str
    lines: list[str]
    doubts: list[str]


def roles_of(table: Table) -> dict[str, str]:
    """For each role the column that has it."""
    kinds = {name: kind_of_values(column) for name, column in table.columns.items()}
    if not table.dialect.header and table.kind == "csv":
        return roles.in_order(kinds)
    found = roles.by_name(tuple(table.columns))
    if found.get("timestamp") and kinds[found["timestamp"]] != "time":
        del found["timestamp"]
    if "timestamp" not in found:
        times = [
            name for name, kind in kinds.items() if kind == "time" and name not in found.values()
        ]
        found |= {"timestamp": times[0]} if times else {}
    for role in ("rating", "count", "number"):
        if found.get(role) and kinds[found[role]] != "number":
            del found[role]
    return found


def ratings(table: Table, found: Mapping[str, str], path: str) -> Section:
    """[ratings] of a log."""
    columns = {
        role: found[role]
        for role in ("user_id", "item_id", "timestamp", "title", "event")
        if role in found
    }
    doubts = [f"{role} is {columns[role]!r}" for role in ("user_id", "item_id")]
    weights = _weights(table, columns.pop("event", None))
    if weights:
        columns["event"] = found["event"]
        doubts.append("what each event weighs")
    value = (
        None
        if weights
        else next((found[role] for role in ("value", "rating", "count") if role in found), None)
    )
    if value:
        columns["value"] = value
    kind, settings = _values(table, value, found.get("count"))
    doubts.append(f'value = "{kind}"' + (f" of {value!r}" if value else ""))
    lines = [
        *_written(table, path),
        f"columns = {_columns(table, columns)}",
        f'value = "{kind}"',
        *settings,
        *weights,
    ]
    lines += [
        *_ids(table, columns),
        *_time(table, columns.get("timestamp")),
        *_rules(table, columns["user_id"], value, kind),
    ]
    lines += ["", "[split]  # what is kept back to measure by"]
    lines += ['by = "fraction"', "fraction = 0.2", "cold_items = 0.1"]
    return Section("ratings", lines, doubts)


def says_something(section: Section) -> bool:
    """Whether it is of items, and names more of them than their ids."""
    told = tuple(f"{name} = " for name in (*_SAID, "numbers"))
    return "attributes.items" in section.name and any(
        name in line for line in section.lines for name in told
    )


def attributes(table: Table, found: Mapping[str, str], path: str, side: str) -> Section:
    """[attributes.items] or [attributes.users] of a table with a row for each of them."""
    columns = {role: found[role] for role in _SAID if role in found}
    columns = {"id": found[f"{side}_id"], **columns}
    used = set(columns.values())
    kinds = {
        name: kind_of_values(column) for name, column in table.columns.items() if name not in used
    }
    measures = [name for name, kind in kinds.items() if kind == "number"]
    lines = [*_written(table, path), f"columns = {_columns(table, columns)}"]
    if measures:
        by_position = "{ " + ", ".join(f"column_{name} = {name}" for name in measures) + " }"
        lines.append(
            "numbers ="
            f" {by_position if _has_positions(table) else json.dumps(measures, ensure_ascii=False)}"
        )
        lines += _decimal(pa.concat_arrays([table.columns[name] for name in measures]))
    separator = _list_separator(
        table, [columns[role] for role in ("genres", "tags") if role in columns]
    )
    lines += [f"list_separator = {_text(separator)}"] if separator else []
    doubts = [
        f"the {side}'s id is {columns['id']!r}",
        *([f"numbers are {', '.join(measures)}"] if measures else []),
    ]
    return Section(f"attributes.{side}s", lines, doubts)


def images(path: str) -> Section:
    """What learns an item's factors from its picture, for pictures named by ids."""
    lines = [f"path = {_text(path)}  # named by the items' ids", "height = 64", "width = 64"]
    return Section(
        "images",
        [*lines, *_network("images")],
        ["pictures are named by items' ids: item-17.jpg is of the item item-17"],
    )


def sounds(found: Recordings, path: str, is_learnt: bool) -> Section:
    """What learns an item's factors from its sound, for recordings named by ids; unless the network
    learns from pictures.
    """
    lines = [f"path = {_text(path)}  # named by the items' ids"]
    doubts = ["sounds are named by items' ids: item-17.wav is of the item item-17"]
    if found.rate is not None and found.seconds is not None:
        lines += [f"rate = {found.rate}  # samples a second", f"seconds = {found.seconds}"]
        doubts.append(f"of each sound the first {found.seconds:g} s count")
    if not extras.SOUND.is_here():
        doubts.append(f"sounds need {extras.SOUND.brings}: {extras.SOUND.remedy}")
    if not is_learnt:
        doubts.append('the network learns from pictures: shards.of = "sounds" has it hear instead')
    return Section("sounds", [*lines, *(_network("sounds") if is_learnt else ())], doubts)


def _network(of: str) -> list[str]:
    """The sections of what learns factors from pictures, or from what sounds become."""
    shards = [] if of == "images" else [f'of = "{of}"']
    shifted = [] if of == "images" else ["", "[cnn.input]", "shift = 8  # in time"]
    network = ["[cnn]", 'model = "resnet"', *shifted]
    return ["", "[shards]", *shards, 'task = "factors"', "", *network, "", "[predict]"]


def _written(table: Table, path: str) -> Iterator[str]:
    yield f"path = {_text(path)}"
    dialect = table.dialect
    if table.kind == "csv":
        if dialect.separator != ",":
            yield f"separator = {_text(dialect.separator)}"
        if dialect.escape:
            yield f"escape = {_text(dialect.escape)}"
        if not dialect.header:
            yield "header = false  # columns are positions, counted from 1"
    if dialect.encoding != "utf-8":
        yield f"encoding = {_text(dialect.encoding)}"


def _values(table: Table, column: str | None, counted: str | None) -> tuple[str, list[str]]:
    """Whether a column has ratings or counts, and the settings that go with that."""
    if column is None:
        return "one", ['keep = "sum"  # every row counts 1']
    values = _parsed(table.columns[column])
    least = min(values, default=0.0) if all(value.is_integer() for value in values) else 0.5
    scale = next(
        (one for one in _SCALES if values and one[0] <= least and max(values) <= one[1]), None
    )
    if column == counted or scale is None:
        return "count", [
            *_decimal(table.columns[column]),
            'keep = "sum"  # of several rows of one person and item',
        ]
    return "rating", [
        *_decimal(table.columns[column]),
        f"min_value = {scale[0]}",
        f"max_value = {scale[1]}",
    ]


def _rules(table: Table, user: str, value: str | None, kind: str) -> Iterator[str]:
    """Rows that are no mistakes, but cannot be used."""
    rules = []
    if table.columns[user].null_count:
        rules.append(
            f'{{ column = {_key(table, user)}, pattern = "{_NOBODY}", reason = "of nobody" }}'
        )
    if value and kind == "count" and min(_parsed(table.columns[value]), default=1) <= 0:
        pattern = _text(r"^\s*(-|[0.,]+\s*$)")
        rules.append(
            f'{{ column = {_key(table, value)}, pattern = {pattern}, reason = "taken back, or'
            ' none" }'
        )
    if rules:
        yield f"reject = [{', '.join(rules)}]  # rows that are expected, and left out"


def _parsed(texts: pa.Array) -> list[float]:
    found: list[float] = (
        numbers.parse(texts, (fits.number_ways(texts) or [NumberRules()])[0])
        .drop_null()
        .to_pylist()
    )
    return found


def _decimal(texts: pa.Array) -> Iterator[str]:
    ways = fits.number_ways(texts)
    if ways and ways[0] != NumberRules():
        yield f"decimal = {_text(ways[0].decimal)}"
        if ways[0].thousands:
            yield f"thousands = {_text(ways[0].thousands)}"


def _weights(table: Table, column: str | None) -> list[str]:
    """Each kind of event with the same weight, where there are a few kinds."""
    if column is None:
        return []
    kinds = sorted(pc.unique(table.columns[column].drop_null()).to_pylist())
    if not 1 < len(kinds) <= 10:
        return []
    weights = ", ".join(f"{_quoted_key(kind)} = 1" for kind in kinds)
    return [
        f"weights = {{ {weights} }}  # a purchase says more than a view: 5, and 1",
        "default_weight = 1",
    ]


def _ids(table: Table, columns: Mapping[str, str]) -> Iterator[str]:
    """Whole numbers written as fractions are integers."""
    for role in ("user_id", "item_id"):
        found = table.columns[columns[role]].drop_null()
        is_number = pc.match_substring_regex(found, r"^-?\d+(\.0*)?$")
        if (
            len(found)
            and pc.all(is_number).as_py()
            and pc.any(pc.match_substring_regex(found, ids.FLOAT)).as_py()
        ):
            yield (
                f'{role}s = "integer"  # {found[0].as_py()} is {found[0].as_py().partition(".")[0]}'
            )


def _time(table: Table, column: str | None) -> Iterator[str]:
    if column is None or pc.any(pc.starts_with(table.columns[column], MOMENT)).as_py():
        return
    formats = fits.formats(table.columns[column])
    others = f"  # or {', or '.join(formats[1:3])}: look at it" if len(formats) > 1 else ""
    yield f"timestamp_format = {_text(formats[0])}{others}"


def _list_separator(table: Table, columns: Sequence[str]) -> str | None:
    """What stands between the words of lists; None where that is the default, or nothing is
    known.
    """
    cells = [cell for name in columns for cell in table.columns[name].drop_null().to_pylist()]
    counts = {separator: sum(separator in cell for cell in cells) for separator in _LIST_SEPARATORS}
    best = max(counts, key=lambda separator: counts[separator])
    return best if counts[best] and best != "|" else None


def _columns(table: Table, columns: Mapping[str, str]) -> str:
    return (
        "{ " + ", ".join(f"{role} = {_key(table, name)}" for role, name in columns.items()) + " }"
    )


def _has_positions(table: Table) -> bool:
    return table.kind == "csv" and not table.dialect.header


def _key(table: Table, column: str) -> str:
    """A column as the pipeline names it."""
    return column if _has_positions(table) else _text(column)


def _quoted_key(text: str) -> str:
    return text if _PLAIN_KEY.fullmatch(text) else _text(text)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
