"""A look at raw sources before anything starts: what their first rows say of the settings by
which they will be read.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import events, ids, times
from emberline.datasets.listing import RawFile
from emberline.errors import DataError
from emberline.logs import event
from emberline.look import advice, fits, heads
from emberline.look.heads import Head
from emberline.look.sources import Source, of_stage
from emberline.records.heads import shorten
from emberline.sections.attributes import AttributeSourceConfig
from emberline.sections.config import Config
from emberline.sections.ratings import RatingsConfig
from emberline.sections.stage import Stage

log = logging.getLogger(__name__)
NEARLY_ALL = 0.9
# without which no row can be used
_NEEDED = {"user_id", "item_id", "id", "value", "timestamp", "event"}


@dataclass(frozen=True)
class Finding:
    """What was found of a source; `is_error` where nearly no row of it can be used."""

    setting: str
    message: str
    is_error: bool


def check(config: Config, stage: Stage, raw: Mapping[str, Sequence[RawFile]]) -> None:
    """Look at what the stage will read, and log what is odd.

    Raises SchemaError for a missing column, DataError for a file that is not what it claims, or of
    which nearly no row can be used.
    """
    for source in of_stage(config, stage):
        findings = look(source, raw[source.config.path])
        for finding in findings:
            if not finding.is_error:
                log.warning(event("looked", setting=finding.setting, found=finding.message))
        if wrong := [finding.message for finding in findings if finding.is_error]:
            raise DataError("; ".join(wrong))


def look(source: Source, files: Sequence[RawFile]) -> list[Finding]:
    """What the first rows of a source's files say. Raises as `check`."""
    found = heads.read(source, files)
    if not sum(head.rows.num_rows for head in found):
        return []
    rows = pa.Table.from_batches([head.rows for head in found]).combine_chunks().to_batches()[0]
    cleaned = source.clean(rows)
    return [*_unusable(source, found, rows, cleaned), *_odd(source, found, rows, cleaned)]


def _unusable(
    source: Source, found: Sequence[Head], rows: pa.RecordBatch, cleaned: pa.RecordBatch
) -> Iterator[Finding]:
    """More rows than may be that cannot be used, by their most frequent reason."""
    reasons = Counter(cleaned["reason"].drop_null().to_pylist())
    for wanted in (*source.expected, *events.FILTERED):
        del reasons[wanted]
    unusable, total = reasons.total(), rows.num_rows
    if unusable <= source.max_rejected * total:
        return
    reason, count = reasons.most_common(1)[0]
    table = pa.Table.from_batches(
        [rows.filter(pc.fill_null(pc.equal(cleaned["reason"], reason), False))]
    )
    hint = advice.advise(source, reason, found, table)
    example = f"such as {shorten(table['raw'][0].as_py())!r} in" if not source.is_private else "in"
    message = (
        f"{source.setting}: {unusable:,} of the first {total:,} rows cannot be used, {count:,}"
        f" because {_because(source, reason)}, {example} {table['source_file'][0].as_py()}"
    )
    yield Finding(
        source.setting, f"{message}; {hint}" if hint else message, unusable >= NEARLY_ALL * total
    )


def _because(source: Source, reason: str) -> str:
    """The reason, and the column that it is about."""
    name = reason.partition(" ")[0]
    column = source.wanted.get(name)
    return f"{reason} (column {column!r})" if column is not None and column != name else reason


def _odd(
    source: Source, found: Sequence[Head], rows: pa.RecordBatch, cleaned: pa.RecordBatch
) -> Iterator[Finding]:
    """Rows that can be used, but are probably not meant so."""
    for name, column in source.wanted.items():
        if name not in _NEEDED and (hint := advice.unknown_key(found, column)):
            yield Finding(source.setting, f"{source.setting}: {hint}", False)
    for name in ("user_id", "item_id", "id"):
        if name in source.wanted and _looks_like_floats(source, name, cleaned):
            kind = "ids" if name == "id" else f"{name}s"
            example = "17850.0"
            if not source.is_private:
                example = cleaned[name].filter(_is_float(cleaned[name]))[0].as_py()
            yield Finding(
                source.setting,
                f"{source.setting}: ids such as {example!r} are whole numbers written as fractions;"
                f" {source.setting}.{kind} = "
                f'"integer" makes one id of {example!r} and {example.partition(".")[0]!r}',
                False,
            )
    if isinstance(source.config, RatingsConfig) and "timestamp" in source.wanted:
        yield from _wrong_unit(source, source.config, rows)
    if isinstance(source.config, AttributeSourceConfig):
        yield from _numbers(source, rows, cleaned)


def _looks_like_floats(source: Source, name: str, cleaned: pa.RecordBatch) -> bool:
    kind = getattr(source.config, "ids" if name == "id" else f"{name}s")
    found = cleaned[name].drop_null()
    is_number = pc.match_substring_regex(found, r"^-?\d+(\.0*)?$")
    return (
        kind == "text"
        and bool(len(found))
        and pc.all(is_number).as_py()
        and pc.any(_is_float(found)).as_py()
    )


def _is_float(found: pa.Array) -> pa.Array:
    return pc.fill_null(pc.match_substring_regex(found, ids.FLOAT), False)


def _wrong_unit(source: Source, config: RatingsConfig, rows: pa.RecordBatch) -> Iterator[Finding]:
    """Numbers that are read, but as moments of another age."""
    written, unit = config.timestamp_format, fits.unit(rows["timestamp"])
    if written in times.UNITS and unit and unit != written:
        message = (
            f'{source.setting}: timestamp_format is "{written}", but the numbers are probably'
            f" {unit}"
        )
        yield Finding(source.setting, message, False)


def _numbers(source: Source, rows: pa.RecordBatch, cleaned: pa.RecordBatch) -> Iterator[Finding]:
    """Numbers of which nearly none can be used."""
    unusable = Counter(chain.from_iterable(cleaned["unusable"].to_pylist()))
    for place, name in enumerate(source.numbers):
        if not unusable[name]:
            continue
        written = rows[f"_number_{place}"]
        if unusable[name] >= NEARLY_ALL * (len(written) - written.null_count):
            hint = advice.number_advice(source.setting, written) or "is it the right column?"
            yield Finding(
                source.setting, f"{source.setting}: nearly no {name} is a number; {hint}", False
            )
