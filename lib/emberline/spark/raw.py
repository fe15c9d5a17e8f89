"""Raw records of any well-known format as text columns, each row with its source file, its raw text and what is wrong with it.

One record is one line (of CSV or JSON) or one row (of Parquet). Nothing is dropped but headers, comments and blank lines, and
nothing is guessed: a line that does not parse keeps its text and gets a `problem`.
"""

import csv
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.config import RawConfig
from emberline.datasets import storage
from emberline.datasets.storage import RawFile
from emberline.errors import ConfigError, DataError, SchemaError
from emberline.spark import row_groups

_HEAD_BYTES = 1 << 20
_MAX_FIELDS = 20_000
_LINE_ENDS = r"\r\n|\n|\r"  # Spark's; Python's splitlines knows more
_ONE_CHARACTER = "\x1f"  # stands for a separator of several characters where Python's csv module takes only one
_EXTENSIONS = {".csv": "csv", ".tsv": "csv", ".dat": "csv", ".txt": "csv", ".data": "csv", ".json": "json", ".jsonl": "json"}
_EXTENSIONS |= {".ndjson": "json", ".parquet": "parquet", ".pq": "parquet"}
_COMPRESSIONS = (".gz", ".bz2", ".zst")
_MAGICS = {b"PAR1": "Parquet", b"\x89PNG": "a PNG picture", b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "gzip", b"BZh": "bzip2"}
_MAGICS |= {b"\xff\xd8\xff": "a JPEG picture", b"%PDF": "a PDF", b"SQLite format": "an SQLite database"}
_JAVA_NAMES = {"utf-8-sig": "utf-8", "utf-16-le": "utf-16le", "utf-16-be": "utf-16be"}
_JAVA_NAMES |= {"utf-32-le": "utf-32le", "utf-32-be": "utf-32be"}
_WHOLE_DOUBLE = r"^-?\d\.\d+E\d+$"  # how Java writes 10^7 and more

Wanted = Mapping[str, str | int]


@dataclass(frozen=True)
class _Head:
    file: RawFile
    first_line: str


def read_raw(spark: SparkSession, files: list[RawFile], raw: RawConfig, wanted: Wanted) -> DataFrame:
    """Columns source_file, raw, problem (null where there is none) and, as text, one column per key of `wanted`.

    `wanted` maps the new name to the input's column name, or to its position from 1 in CSV without a header. Files may differ in
    the order and number of their columns. A moment in a Parquet `timestamp` stands behind a parquet.MOMENT.

    Raises DataError for a file that is not what it claims, SchemaError for a missing column.
    """
    for file in files:
        check_name(file)
    kind = raw.format if raw.format != "auto" else _kind_of(files)
    if kind == "parquet":
        return row_groups.texts(spark, files, wanted, ())
    _check_encoding(spark, raw.encoding)
    heads = [head for file in files if (head := _head(file, kind, raw))]
    if not heads:
        raise DataError(f"none of the {len(files)} files of {raw.path} holds a line of data")
    if kind == "json":
        return _read_json(spark, heads, raw, wanted)
    return _union([_read_csv(spark, group, raw, header, wanted) for header, group in _by_header(heads, raw).items()])


def check_name(file: RawFile) -> None:
    """Raises DataError for a name that Spark passes over without a word, or that Hadoop takes for a URI."""
    name = file.name
    if name.startswith(("_", ".")) or name.endswith("._COPYING_") or ":" in name:
        raise DataError(
            f"{file.path}: Spark does not read files whose names start with _ or ., hold a colon or end in ._COPYING_; rename it"
        )


def _kind_of(files: list[RawFile]) -> str:
    kinds = {_EXTENSIONS.get(_suffix(file), "") for file in files}
    if len(kinds) != 1 or "" in kinds:
        raise ConfigError(
            f"cannot tell the format of {files[0].relative} and {len(files) - 1} other files from their names; "
            "set format to csv, json or parquet"
        )
    return kinds.pop()


def _suffix(file: RawFile) -> str:
    name = file.name.lower()
    for compression in _COMPRESSIONS:
        name = name.removesuffix(compression)
    return "." + name.rpartition(".")[2]


def _union(frames: list[DataFrame]) -> DataFrame:
    whole, *rest = frames
    for frame in rest:
        whole = whole.unionByName(frame)
    return whole


# ------------------------------------------------------------------------------------------------------------- text files


def _head(file: RawFile, kind: str, raw: RawConfig) -> _Head | None:
    """The file's first line that is neither blank nor a comment; None without one. Raises DataError for what is not text."""
    try:
        with storage.open_decompressed(file.path) as stream:
            start = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{file.path} cannot be read: {error}") from None
    _check_is_text(file, kind, start, raw)
    text = start.decode(raw.encoding, errors="replace").removeprefix("\ufeff")
    lines = re.split(_LINE_ENDS, text)
    comments = (raw.comment,) if raw.comment and kind == "csv" else ()
    first = next((line for line in lines if line.strip() and not line.startswith(comments)), None)
    if first is not None and kind == "json" and not first.lstrip().startswith("{"):
        raise DataError(f"{file.path} is not JSON lines: expected one object {{...}} per line, found {_shorten(first)}")
    return None if first is None else _Head(file, first)


def _check_is_text(file: RawFile, kind: str, start: bytes, raw: RawConfig) -> None:
    name = next((name for magic, name in _MAGICS.items() if start.startswith(magic)), None)
    if name is None and b"\0" in start and not _is_wide(raw.encoding):
        name = "a binary file (it holds zero bytes)"
    if name:
        raise DataError(f"{file.path} is not {kind.upper()} text but {name}; set format or path to what it is")


def _check_encoding(spark: SparkSession, encoding: str) -> None:
    """Raises ConfigError for an encoding that Python knows and Java does not."""
    java = cast(Any, spark._jvm).java
    if not java.nio.charset.Charset.isSupported(_java_name(encoding)):
        raise ConfigError(f"Java does not know the encoding {encoding}; convert the files to utf-8")


def _java_name(encoding: str) -> str:
    return _JAVA_NAMES.get(encoding, encoding)


def _is_wide(encoding: str) -> bool:
    """Whether a line feed is more than one byte, so that lines cannot be cut before decoding."""
    return encoding.startswith(("utf-16", "utf-32"))


def _lines(spark: SparkSession, files: list[RawFile], raw: RawConfig) -> DataFrame:
    """Columns source_file and raw: every line, decoded; bytes that do not belong to the encoding are U+FFFD."""
    paths = [storage.for_spark(file.path) for file in files]
    if not _is_wide(raw.encoding):
        text = F.decode(F.col("value").cast("binary"), _java_name(raw.encoding))
        lines = spark.read.text(paths).select(source_file(files).alias("source_file"), text.alias("raw"))
    else:
        if any(file.name.endswith(_COMPRESSIONS) for file in files):
            raise ConfigError(f"compressed files in {raw.encoding} are not supported; decompress them or convert them to utf-8")
        split = F.explode(F.split(F.decode("content", _java_name(raw.encoding)), _LINE_ENDS))
        whole = spark.read.format("binaryFile").load(paths)
        lines = whole.select(source_file(files).alias("source_file"), split.alias("raw"))
    return lines.withColumn("raw", F.regexp_replace("raw", "^\ufeff|\r$", "")).where(F.trim("raw") != "")


def source_file(files: list[RawFile]) -> Column:
    """The path below the input folder. Spark gives a URI, without `..`, whose escapes are undone (`+` is no escape in a path)."""
    first = files[0].path
    name = os.path.normpath(first) if isinstance(first, Path) else storage.spark_uri(first)
    base = len(name) - len(files[0].relative)
    path = F.url_decode(F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B")))
    return F.substring(F.regexp_replace(path, "^file:(//)?", ""), base + 1, 1 << 20)


def _encoding_problem(encoding: str) -> Column:
    return F.when(F.contains("raw", F.lit("\ufffd")), F.lit(f"not valid {encoding}"))


def _by_header(heads: list[_Head], raw: RawConfig) -> dict[str, list[_Head]]:
    """Files of one header together; without headers the first line says for all files how many fields a line has."""
    if not raw.header:
        return {heads[0].first_line: heads}
    groups: dict[str, list[_Head]] = {}
    for head in heads:
        groups.setdefault(head.first_line, []).append(head)
    return groups


def _split(line: str, file: RawFile, raw: RawConfig) -> list[str]:
    """A line's fields, as names. Raises DataError for a line that no header can be."""
    single = raw.separator if len(raw.separator) == 1 else _ONE_CHARACTER
    quoting: dict[str, Any] = {"quotechar": raw.quote} if raw.quote else {"quoting": csv.QUOTE_NONE}
    try:
        fields = next(csv.reader([line.replace(raw.separator, single)], delimiter=single, **quoting))
    except csv.Error as error:
        raise DataError(f"{file.path}: its first line cannot be cut at {raw.separator!r}: {error}") from error
    return [field.replace(single, raw.separator).strip() for field in fields]


def _read_csv(spark: SparkSession, heads: list[_Head], raw: RawConfig, first_line: str, wanted: Wanted) -> DataFrame:
    names = _split(first_line, heads[0].file, raw)
    positions = {new: _position(names, column, heads[0].file, raw) for new, column in wanted.items()}
    lines = _lines(spark, [head.file for head in heads], raw)
    if raw.comment:
        lines = lines.where(~F.startswith("raw", F.lit(raw.comment)))
    if raw.header:
        lines = lines.where(F.col("raw") != first_line)
    fields = [f"_{i} string" for i in range(len(names))]
    parsed = F.from_csv(_parsable(raw), ", ".join([*fields, "_malformed string"]), _csv_options(raw))
    problem = F.coalesce(
        _encoding_problem(raw.encoding),
        F.when(_is_unbalanced(raw), F.lit("unbalanced quotes")) if raw.quote else F.lit(None),
        F.when(
            F.col("_fields._malformed").isNotNull() | (_count_of(raw.separator) > _MAX_FIELDS), F.lit("wrong number of fields")
        ),
    )
    texts = [F.col(f"_fields._{position}").alias(new) for new, position in positions.items()]
    return lines.withColumn("_fields", parsed).select("source_file", "raw", problem.alias("problem"), *texts)


def _parsable(raw: RawConfig) -> Column:
    """The line, but for one with more fields than the parser can hold, which would end the job."""
    return F.when(_count_of(raw.separator) <= _MAX_FIELDS, F.col("raw"))


def _is_unbalanced(raw: RawConfig) -> Column:
    """Whether a quoted field may not be closed; a lone quote within an unquoted field (12" disc) is text."""
    opens = rf"(^|\Q{raw.separator}\E)\s*\Q{raw.quote}\E"
    return (_count_of(raw.quote) % 2 == 1) & F.rlike("raw", F.lit(opens))


def _count_of(text: str) -> Column:
    """How often a short text occurs in the line."""
    return (F.length("raw") - F.length(F.replace(F.col("raw"), F.lit(text), F.lit("")))) / len(text)


def _csv_options(raw: RawConfig) -> dict[str, str]:
    quoting = {"quote": raw.quote or "\0", "escape": raw.quote or "\0"}
    return {"sep": raw.separator, "mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_malformed", **quoting}


def _position(names: list[str], column: str | int, file: RawFile, raw: RawConfig) -> int:
    """Where a column stands, counted from 0. Raises SchemaError for one that the file does not have, or has twice."""
    if isinstance(column, int):
        if column > len(names):
            raise SchemaError(
                f"{file.path}: no column {column}; its first line has {len(names)} fields (separator {raw.separator!r})"
            )
        return column - 1
    if names.count(column) != 1:
        what = "is missing" if column not in names else f"appears {names.count(column)} times"
        found = _shorten(", ".join(names))
        raise SchemaError(
            f"{file.path}: column {column!r} {what}; the header, cut at {raw.separator!r}, has: {found}; "
            "correct columns, separator, comment or header in the pipeline file"
        )
    return names.index(column)


def _shorten(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."


def _read_json(spark: SparkSession, heads: list[_Head], raw: RawConfig, wanted: Wanted) -> DataFrame:
    _names_only(wanted, "JSON")
    keys = list(dict.fromkeys(str(column) for column in wanted.values()))
    schema = ", ".join(f"{_quote(key)}: string" for key in keys)
    # As an array of one: from_json stops after the first object, and would pass over another one on the same line.
    parsed = F.from_json(F.concat(F.lit("["), "raw", F.lit("]")), f"array<struct<{schema}>>")
    only = F.get("_objects", 0)
    is_object = only.isNotNull() & (F.size("_objects") == 1)
    problem = F.coalesce(_encoding_problem(raw.encoding), F.when(~is_object, F.lit("not a JSON object")))
    texts = [_plain(only[str(column)]).alias(new) for new, column in wanted.items()]
    lines = _lines(spark, [head.file for head in heads], raw)
    return lines.withColumn("_objects", parsed).select("source_file", "raw", problem.alias("problem"), *texts)


def _plain(text: Column) -> Column:
    """A whole number that Java writes as 1.2345678E7 as 12345678.0, as it looks below 10^7."""
    number = text.try_cast("decimal(38,6)")
    is_whole = F.rlike(text, F.lit(_WHOLE_DOUBLE)) & (number == F.floor(number))
    return F.when(is_whole, number.cast("decimal(33,1)").cast("string")).otherwise(text)


def _names_only(wanted: Wanted, kind: str) -> None:
    if any(isinstance(column, int) for column in wanted.values()):
        raise ConfigError(f"columns of {kind} have names, found a position; give the names")


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
