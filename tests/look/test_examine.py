"""Mistakes of a pipeline file are found in the first rows, before Spark starts, and what would
be right is said.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline import stages
from emberline.datasets import listing
from emberline.errors import DataError, EmberlineError, SchemaError
from emberline.look import examine
from emberline.look.examine import Finding
from emberline.look.sources import of_stage
from emberline.sections.config import Config

COLUMNS = {"user_id": "user", "item_id": "item", "value": "stars", "timestamp": "at"}
COLUMNS_LINE = "user,item,stars,at"
ROWS = [f"u{n % 7},i{n % 5},{n % 5 + 1},{1_600_000_000 + n}" for n in range(40)]


def looked(settings: dict[str, Any], section: str = "ratings") -> list[Finding]:
    """What is found of the only stage with raw sources."""
    config = Config.model_validate({section: settings})
    stage = stages.select(config)[0]
    return [
        f
        for source in of_stage(config, stage)
        for f in examine.look(source, listing.list_files(source.config.path))
    ]


def error(settings: dict[str, Any], section: str = "ratings") -> str:
    found = [finding.message for finding in looked(settings, section) if finding.is_error]
    assert len(found) == 1
    return found[0]


def log(
    folder: Path, rows: list[str], header: str = COLUMNS_LINE, **settings: Any
) -> dict[str, Any]:
    """A pipeline's [ratings] for a file of these rows."""
    (folder / "log.csv").write_bytes(
        "\n".join([header, *rows, ""]).encode(settings.pop("written", "utf-8"))
    )
    return {"path": f"{folder}/log.csv", "columns": COLUMNS} | settings


def test_of_a_good_log_nothing_is_said(tmp_path: Path) -> None:
    assert looked(log(tmp_path, ROWS)) == []


def test_a_time_in_another_format_names_the_setting_the_text_and_the_formats_that_fit(
    tmp_path: Path,
) -> None:
    rows = [f"u{n},i,3,{n % 28 + 1:02}.03.2021 10:{n % 60:02}" for n in range(40)]
    told = error(log(tmp_path, rows))
    assert told.startswith(
        "ratings: 40 of the first 40 rows cannot be used, 40 because timestamp is not seconds"
        " (column 'at'), such as 'u0,i,3,01.03.2021 10:00' in log.csv; "
    )
    assert "ratings.timestamp_format is \"seconds\", and '01.03.2021 10:00', " in told
    assert told.endswith('would fit "%d.%m.%Y %H:%M"')


def test_numbers_of_another_unit_are_noticed(tmp_path: Path) -> None:
    [finding] = looked(log(tmp_path, ROWS, timestamp_format="milliseconds"))
    assert not finding.is_error
    assert (
        finding.message
        == 'ratings: timestamp_format is "milliseconds", but the numbers are probably seconds'
    )
    assert error(log(tmp_path, [row + "000" for row in ROWS])).endswith('would fit "milliseconds"')


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_said(tmp_path: Path, separator: str) -> None:
    rows = [row.replace(",", separator) for row in ROWS]
    with pytest.raises(SchemaError) as caught:
        looked(log(tmp_path, rows, header=COLUMNS_LINE.replace(",", separator)))
    assert "log.csv: column 'user' is missing" in str(caught.value)
    assert f"(separator = {separator!r} would fit)" in str(caught.value)


def test_another_separator_without_a_header_is_said(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("1::2::5\n2::3::4\n")
    columns = {"user_id": 1, "item_id": 2, "value": 3}
    with pytest.raises(
        SchemaError,
        match=r"no column 2; its first line has 1 fields .* \(separator = '::' would fit\)",
    ):
        looked({"path": f"{tmp_path}/log.csv", "columns": columns, "header": False})


@pytest.mark.parametrize("header", ["User,item,stars,at", "users,item,stars,at"])
def test_a_missing_column_names_the_nearest(tmp_path: Path, header: str) -> None:
    with pytest.raises(
        SchemaError,
        match=rf"column 'user' is missing \(did you mean '{header.partition(',')[0]}'\?\)",
    ):
        looked(log(tmp_path, ROWS, header=header))


def test_decimal_commas_are_said(tmp_path: Path) -> None:
    rows = [f"u{n};i;{n % 4},5;{1_600_000_000 + n}" for n in range(40)]
    told = error(log(tmp_path, rows, header="user;item;stars;at", separator=";"))
    assert told.endswith("'0,5', '1,5', '2,5' would be read by ratings.decimal = \",\"")
    rows = [f"u{n};i;1.{n:03},5;{1_600_000_000 + n}" for n in range(40)]
    told = error(log(tmp_path, rows, header="user;item;stars;at", separator=";"))
    assert told.endswith('ratings.decimal = "," and ratings.thousands = "."')


def test_another_encoding_is_said(tmp_path: Path) -> None:
    rows = [row.replace("u", "ü") for row in ROWS]
    told = error(log(tmp_path, rows, written="cp1252"))
    assert "because not valid utf-8" in told
    assert 'ratings.encoding = "cp1252"' in told


def test_quotes_that_are_text_are_said(tmp_path: Path) -> None:
    rows = ['"' + row for row in ROWS]
    assert error(log(tmp_path, rows)).endswith('with ratings.quote = "" they would be read')


def test_backslashes_before_quotes_are_said(tmp_path: Path) -> None:
    rows = [f'u{n},"i \\"{n}\\", b",3,{1_600_000_000 + n}' for n in range(40)]
    assert error(log(tmp_path, rows)).endswith('with ratings.escape = "\\\\" they would be read')
    assert looked(log(tmp_path, rows, escape="\\")) == []


def test_a_value_column_of_words_is_an_error(tmp_path: Path) -> None:
    rows = [f"u{n},i,good,{1_600_000_000 + n}" for n in range(40)]
    told = error(log(tmp_path, rows))
    assert "value is not a number (column 'stars')" in told
    assert told.endswith("columns.value has 'good'; is it the right column?")


def test_an_empty_id_column_is_an_error(tmp_path: Path) -> None:
    assert "40 because user_id is missing (column 'user')" in error(
        log(tmp_path, [row[2:] for row in ROWS])
    )


def test_ids_that_look_like_floats_are_noticed(tmp_path: Path) -> None:
    rows = [row.replace("u", "1785").replace(",i", ".0,i", 1) for row in ROWS]
    [finding] = looked(log(tmp_path, rows))
    assert not finding.is_error
    assert "ratings.user_ids = \"integer\" makes one id of '17850.0' and '17850'" in finding.message
    assert looked(log(tmp_path, rows, user_ids="integer")) == []


def test_some_bad_rows_are_noticed_and_a_rule_makes_them_expected(tmp_path: Path) -> None:
    rows = [*ROWS, *(f",i,3,{1_600_000_000 + n}" for n in range(20))]
    [finding] = looked(log(tmp_path, rows))
    assert not finding.is_error
    assert (
        "ratings: 20 of the first 60 rows cannot be used, 20 because user_id is missing"
        in finding.message
    )
    assert looked(log(tmp_path, rows, max_rejected=0.4)) == []
    assert (
        looked(
            log(tmp_path, rows, reject=[{"column": "user", "pattern": "^$", "reason": "nobody"}])
        )
        == []
    )


def test_attributes_are_looked_at_source_by_source(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("id;title\n1;a\n")
    (tmp_path / "prices.csv").write_text("id;price\n" + "".join(f"{n};{n},99\n" for n in range(9)))
    good = {
        "path": f"{tmp_path}/good.csv",
        "separator": ";",
        "columns": {"id": "id", "title": "title"},
    }
    prices = {
        "path": f"{tmp_path}/prices.csv",
        "separator": ";",
        "columns": {"id": "id"},
        "numbers": ["price"],
    }
    [finding] = looked({"items": [good, prices]}, "attributes")
    assert finding.message.startswith(
        "attributes.items.1: nearly no price is a number; '0,99', '1,99', '2,99' would be read by "
    )
    assert finding.message.endswith('attributes.items.1.decimal = ","')
    with pytest.raises(SchemaError, match=r"column 'titel' is missing \(did you mean 'title'\?\)"):
        looked({"items": [good | {"columns": {"id": "id", "title": "titel"}}]}, "attributes")


def test_parquet_has_its_columns_looked_at(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"User": [1], "item": [2], "stars": [1.0], "at": [1]}), tmp_path / "a.parquet"
    )
    with pytest.raises(
        SchemaError,
        match=r"a\.parquet: column 'user' is missing \(did you mean 'User'\?\); the file has: User",
    ):
        looked({"path": f"{tmp_path}/a.parquet", "columns": COLUMNS})


def test_of_many_files_the_first_and_the_last_are_looked_at(tmp_path: Path) -> None:
    for n in range(30):
        header = COLUMNS_LINE if n < 29 else "user,item,stars,time"
        (tmp_path / f"{n:02}.csv").write_text("\n".join([header, *ROWS]))
    with pytest.raises(SchemaError, match=r"29\.csv: column 'at' is missing"):
        looked({"path": f"{tmp_path}/*.csv", "columns": COLUMNS})


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match="is not text but a PNG picture"):
        looked({"path": f"{tmp_path}/log.csv", "columns": COLUMNS})


def test_files_whose_names_tell_no_format_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "log.xlsx").write_text("user,item")
    with pytest.raises(EmberlineError, match=r"cannot tell the format of log\.xlsx"):
        looked({"path": f"{tmp_path}/log.xlsx", "columns": COLUMNS})


def test_a_key_that_no_row_of_json_has_is_named_with_its_nearest(tmp_path: Path) -> None:
    rows = [
        f'{{"user": "u{n}", "item": {n}, "stars": 3, "at": 1600000000, "title": "t"}}'
        for n in range(30)
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(rows))
    settings = {"path": f"{tmp_path}/log.jsonl", "columns": COLUMNS | {"title": "titel"}}
    [finding] = looked(settings)
    assert not finding.is_error
    assert finding.message == "ratings: no row there has 'titel' (did you mean 'title'?)"
    told = error(settings | {"columns": COLUMNS | {"user_id": "User"}})
    assert "30 because user_id is missing (column 'User')" in told
    assert told.endswith("no row there has 'User' (did you mean 'user'?)")
