"""prepare-ratings: what is rejected and why, what is merged, what is dropped, and that every
row is accounted for.
"""

import csv
import gzip
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.interactions.oracle import core_of

from emberline import pipelines, stages
from emberline.cleaning import events
from emberline.datasets import manifest as manifests
from emberline.errors import ConfigError, DataError, EmptyDatasetError
from emberline.runs import runner
from emberline.runs.runner import Outcome
from emberline.sections.ratings import RatingsConfig

Pair = tuple[str, str]
Cells = dict[str, str | None]
Parsed = dict[str, Any]
Run = Callable[..., list[Outcome]]
Read = Callable[[str], pa.Table]
GOOD: Cells = {"user_id": "1", "item_id": "a", "value": "3", "timestamp": "0"}


# --------------------------------------------------------------------------------------------------
# parsing


def _config(*optional: str, **settings: Any) -> RatingsConfig:
    """Settings for raw columns of the same names: user_id, item_id, value, and those in
    `optional`.
    """
    names = ("user_id", "item_id", *(optional or ("value", "timestamp")))
    return RatingsConfig.model_validate(
        {"path": "in", "columns": {name: name for name in names}} | settings
    )


def _parse(rows: Iterable[Cells], config: RatingsConfig) -> list[Parsed]:
    """Rows like GOOD but for the cells that each gives, parsed; times in microseconds."""
    names = [
        "source_file",
        "raw",
        "problem",
        *GOOD,
        "title",
        *(f"_rule_{i}" for i in range(len(config.reject))),
    ]
    cells = [GOOD | {"source_file": "f", "raw": str(n)} | row for n, row in enumerate(rows)]
    schema = pa.schema([(name, pa.string()) for name in names])
    raw = pa.RecordBatch.from_pylist(
        [{name: row.get(name) for name in names} for row in cells], schema
    )
    parsed = events.clean(raw, config.rules())
    micros = parsed["timestamp"].cast(pa.int64())
    return parsed.append_column("micros", micros).drop_columns(["timestamp"]).to_pylist()


def _reasons(rows: Iterable[Cells], config: RatingsConfig) -> list[str | None]:
    return [row["reason"] for row in _parse(rows, config)]


def test_each_fault_has_its_reason_and_the_first_one_counts() -> None:
    rules = [
        {"column": "x", "pattern": "^C", "reason": "cancelled"},
        {"column": "y", "pattern": r"\bTEST\b", "reason": "a test"},
    ]
    config = _config(
        "value",
        "timestamp",
        user_ids="integer",
        item_ids="integer",
        min_value=1,
        max_value=5,
        reject=rules,
    )
    everything: Cells = {
        "user_id": " ",
        "item_id": "",
        "value": "x",
        "timestamp": "",
        "_rule_1": "a TEST b",
    }
    expected: list[tuple[Cells, str | None]] = [
        ({"item_id": "7"}, None),
        ({"_rule_0": "xC", "_rule_1": "TESTS", "item_id": "7"}, None),
        (everything | {"problem": "torn", "_rule_0": "C1"}, "torn"),
        (everything | {"_rule_0": "C1"}, "cancelled"),
        (everything, "a test"),
        (everything | {"_rule_1": None}, "user_id is missing"),
        (everything | {"_rule_1": None, "user_id": "x"}, "item_id is missing"),
        ({"user_id": "x", "item_id": "y"}, "user_id is not an integer"),
        ({"item_id": "y", "value": ""}, "item_id is not an integer"),
        ({"item_id": "7", "value": None, "timestamp": None}, "value is missing"),
        ({"item_id": "7", "value": "three", "timestamp": None}, "value is not a number"),
        ({"item_id": "7", "value": "1e39", "timestamp": None}, "value does not fit a float32"),
        ({"item_id": "7", "value": "0.99", "timestamp": None}, "value is below 1"),
        ({"item_id": "7", "value": "5.01", "timestamp": None}, "value is above 5"),
        ({"item_id": "7", "timestamp": "  "}, "timestamp is missing"),
        ({"item_id": "7", "timestamp": "noon"}, "timestamp is not seconds"),
    ]
    assert _reasons([row for row, _ in expected], config) == [reason for _, reason in expected]


def test_ids_as_text_lose_only_the_blanks_around_them() -> None:
    texts = ["17850.0", " a b ", "é😀", "0", "null", " ", "", None]
    rows = _parse([{"user_id": text} for text in texts], _config(nulls=[]))
    assert [row["user_id"] for row in rows] == [
        "17850.0",
        "a b",
        "é😀",
        "0",
        "null",
        None,
        None,
        None,
    ]
    assert [row["reason"] for row in rows] == [None] * 5 + ["user_id is missing"] * 3


def test_ids_as_integers_have_one_spelling() -> None:
    spellings = {
        "17850.0": "17850",
        "017850": "17850",
        " 5 ": "5",
        "5.": "5",
        "-7.00": "-7",
        "-0": "0",
        "9" * 38: "9" * 38,
    }
    others = ["1e3", "5.5", "x", "+5", "0x1", "1,000", "٥", "9" * 39, "1 2", "NAN"]
    rows = _parse(
        [{"item_id": text} for text in [*spellings, *others]], _config(item_ids="integer")
    )
    assert [row["item_id"] for row in rows] == [*spellings.values(), *[None] * len(others)]
    assert [row["reason"] for row in rows] == [None] * len(spellings) + [
        "item_id is not an integer"
    ] * len(others)


def test_values_are_what_python_takes_for_finite_numbers() -> None:
    numbers = [
        "3",
        "-2.5",
        "+.5",
        "5.",
        "1e2",
        "1E-3",
        " 4 ",
        "007",
        "1e-50",
        "3.4028234e38",
        "-3.4028235e38",
    ]
    rows = _parse([{"value": text} for text in numbers], _config())
    assert [row["value"] for row in rows] == [
        pa.scalar(float(text), pa.float32()).as_py() for text in numbers
    ]
    assert {row["reason"] for row in rows} == {None}
    words = [
        "NAN",
        "inf",
        "-Infinity",
        "5d",
        "1f",
        "0x10",
        "0x1p3",
        "1,5",
        "1_0",
        "١",
        "1e",
        "e5",
        ".",
        "-",
        "true",
        "1 2",
    ]
    assert _reasons([{"value": text} for text in words], _config()) == [
        "value is not a number"
    ] * len(words)
    huge = ["3.5e38", "-1e39", "1e400", "9" * 50]
    assert (
        _reasons([{"value": text} for text in huge], _config())
        == ["value does not fit a float32"] * 4
    )


def test_counts_are_positive_also_as_float32() -> None:
    counts = ["0", "-1", "1e-50", "0.5", "1"]
    reasons = _reasons([{"value": text} for text in counts], _config(value="count"))
    assert reasons == ["count is not positive"] * 3 + [None, None]


def test_the_least_and_the_greatest_value_are_allowed() -> None:
    values = ["0.5", "5", "0.49", "5.000001"]
    reasons = _reasons([{"value": text} for text in values], _config(min_value=0.5, max_value=5))
    assert reasons == [None, None, "value is below 0.5", "value is above 5"]


def test_an_event_without_value_and_time_counts_one() -> None:
    rows = _parse([{"value": "x", "timestamp": "y"}], _config("title", value="one"))
    assert [(row["value"], row["micros"], row["reason"]) for row in rows] == [(1.0, None, None)]


def test_seconds_and_milliseconds_may_be_fractional_and_negative_but_stay_in_years_1_to_9999() -> (
    None
):
    first, last = -62_135_596_800, 253_402_300_799
    good = {
        "0": 0,
        "1.5": 1_500_000,
        "-1": -1_000_000,
        "1e9": 10**15,
        " 7 ": 7_000_000,
        "1577934245.678901": 1577934245678901,
    }
    good |= {str(first): first * 10**6, f"{last}.999999": last * 10**6 + 999_999}
    bad = [
        str(first - 1),
        str(last + 1),
        "1e30",
        "1e400",
        "-1e999999999",
        "NAN",
        "2020-01-01",
        "1d",
    ]
    rows = _parse([{"timestamp": text} for text in [*good, *bad]], _config())
    assert [row["micros"] for row in rows] == [*good.values(), *[None] * len(bad)]
    assert [row["reason"] for row in rows] == [None] * len(good) + [
        "timestamp is not seconds"
    ] * len(bad)
    texts = ["1577934245678", "0.5", str((last + 1) * 1000)]
    rows = _parse([{"timestamp": text} for text in texts], _config(timestamp_format="milliseconds"))
    assert [row["micros"] for row in rows] == [1577934245678000, 500, None]
    assert rows[2]["reason"] == "timestamp is not milliseconds"


def test_times_in_a_format_are_utc_and_impossible_ones_are_rejected() -> None:
    good = ["2020-02-29 23:59:59", "1969-12-31 00:00:00", " 2021-03-28 02:30:00 "]
    bad = [
        "2019-02-29 00:00:00",
        "2020-13-01 00:00:00",
        "2020-01-01 24:00:00",
        "2020-01-01",
        "2020-1-1 0:0:0",
        "0",
    ]
    layout = "yyyy-MM-dd HH:mm:ss"
    rows = _parse([{"timestamp": text} for text in good + bad], _config(timestamp_format=layout))
    expected = [
        int(datetime.fromisoformat(text.strip()).replace(tzinfo=UTC).timestamp()) * 10**6
        for text in good
    ]
    assert [row["micros"] for row in rows] == expected + [None] * len(bad)
    assert [row["reason"] for row in rows] == [None] * len(good) + [
        f"timestamp is not {layout}"
    ] * len(bad)
    zoned = _parse(
        [{"timestamp": "1970-01-01T02:00:01+02:00"}],
        _config(timestamp_format="yyyy-MM-dd'T'HH:mm:ssXXX"),
    )
    assert zoned[0]["micros"] == 1_000_000


# --------------------------------------------------------------------------------------------------
# the stage on a dirty log

MIN_USER, MIN_ITEM = 6, 8
HEADER = "time,user,item,stars,title,note"
DIRT = [
    (0, ""),
    (0, "noon"),
    (1, ""),
    (1, "x7"),
    (2, "  "),
    (3, ""),
    (3, "five"),
    (3, "9"),
    (3, "0"),
    (3, "NAN"),
]
DIRT += [(4, ""), (4, '"torn'), (4, "a,b"), (4, "\udcff"), (5, "void 7"), (5, "avoid")]
PIPELINE = """
[ratings]
path = "{folder}"
columns.user_id = "user"
columns.item_id = "item"
columns.value = "stars"
columns.timestamp = "time"
columns.title = "title"
user_ids = "integer"
min_value = 1
max_value = 5
max_rejected = 0.4
keep = "sum"
min_user_ratings = {min_user}
min_item_ratings = {min_item}

[[ratings.reject]]
column = "note"
pattern = "^void"
reason = "voided"

[split]
by = "fraction"
fraction = 0.3
cold_items = 0.2
"""


@dataclass
class Account:
    """What a careful reader finds in the log: rows left out as (file, outcome, reason, raw),
    and the pairs that are kept.
    """

    read: int = 0
    left_out: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    kept: dict[Pair, tuple[float, int]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)


@dataclass
class Prepared:
    """The datasets of a run."""

    root: Path
    metrics: dict[str, Any]
    sets: dict[str, int]

    def rows(self, name: str) -> list[dict[str, Any]]:
        paths = manifests.load(self.root, name).paths
        rows: list[dict[str, Any]] = pa.concat_tables(
            [pq.read_table(path) for path in paths]
        ).to_pylist()
        return rows

    def pairs(self, name: str) -> dict[Pair, tuple[float, int]]:
        """(user_id, item_id) to value and seconds."""
        users = {row["user"]: row["user_id"] for row in self.rows("users")}
        items = {row["item"]: row["item_id"] for row in self.rows("items")}
        found = {
            (users[row["user"]], items[row["item"]]): (
                row["value"],
                int(row["timestamp"].timestamp()),
            )
            for row in self.rows(name)
        }
        assert len(found) == len(self.rows(name))
        return found


def _dirty_lines(count: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    lines = []
    for n in range(count):
        user = rng.choice(["{}", "{}.0", "0{}", " {} "]).format(int(40 * rng.random() ** 1.5))
        item = f"i{int(40 * rng.random() ** 1.5)}"
        cells = [
            str(1_500_000_000 + rng.randrange(40)),
            user,
            item,
            str(rng.randrange(1, 6)),
            f'"{item}, ""v{n % 7}"""',
            "",
        ]
        if rng.random() < 0.3:
            cell, text = rng.choice(DIRT)
            cells[cell] = text
        lines.append(",".join(cells).encode(errors="surrogateescape"))
    return lines


def _fault(cells: list[str], raw: str) -> str | None:
    """Why a line is rejected, as read by Python's csv module."""
    if "\ufffd" in raw:
        return "not valid utf-8"
    if raw.count('"') % 2:
        return "unbalanced quotes"
    if len(cells) != 6:
        return "wrong number of fields"
    time, user, item, stars, _, note = (cell.strip() for cell in cells)
    if note.startswith("void"):
        return "voided"
    if not user or not item:
        return "item_id is missing" if user else "user_id is missing"
    if not re.fullmatch(r"\d+(\.0)?", user):
        return "user_id is not an integer"
    if not stars.isdecimal():
        return "value is not a number" if stars else "value is missing"
    if not 1 <= int(stars) <= 5:
        return "value is below 1" if int(stars) < 1 else "value is above 5"
    if not time.isdecimal():
        return "timestamp is not seconds" if time else "timestamp is missing"
    return None


def _account(files: dict[str, list[bytes]]) -> Account:
    account = Account()
    events: dict[Pair, list[tuple[int, float, str, str]]] = defaultdict(list)
    titles: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name, lines in files.items():
        for line in lines:
            raw = line.decode(errors="replace")
            cells = next(csv.reader([raw]))
            account.read += 1
            if fault := _fault(cells, raw):
                account.left_out[name, "rejected", fault, raw] += 1
                continue
            time, user, item, stars, title, _ = (cell.strip() for cell in cells)
            events[str(int(float(user))), item].append((int(time), float(stars), name, raw))
            titles[item].append((int(time), title))
    core, _ = core_of(set(events), MIN_USER, MIN_ITEM)
    core_users = {user for user, _ in core}
    for pair, rows in events.items():
        latest, *others = sorted(rows, key=lambda row: (-row[0], -row[1], row[2], row[3]))
        account.left_out.update(
            (name, "merged", "added to the pair's sum", raw) for _, _, name, raw in others
        )
        if pair in core:
            account.kept[pair] = sum(row[1] for row in rows), latest[0]
        else:
            side, minimum = ("item", MIN_ITEM) if pair[0] in core_users else ("user", MIN_USER)
            account.left_out[
                latest[2], "filtered", f"{side} has fewer than {minimum} ratings", latest[3]
            ] += 1
    account.titles = {
        item: max(named)[1]
        for item, titled in titles.items()
        if (named := [(time, title) for time, title in titled if title])
    }
    return account


@pytest.fixture(scope="module")
def log() -> dict[str, list[bytes]]:
    return {"a [1].csv": _dirty_lines(400, seed=1), "deep/b.csv.gz": _dirty_lines(300, seed=2)}


@pytest.fixture(scope="module")
def expected(log: dict[str, list[bytes]]) -> Account:
    return _account(log)


@pytest.fixture(scope="module")
def prepared(log: dict[str, list[bytes]], tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("dirty")
    for name, lines in log.items():
        content = b"\n".join([HEADER.encode(), *lines])
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / name).write_bytes(
            gzip.compress(content) if name.endswith(".gz") else content
        )
    pipeline = folder / "pipeline.toml"
    pipeline.write_text(PIPELINE.format(folder=folder / "in", min_user=MIN_USER, min_item=MIN_ITEM))
    config = pipelines.load(pipeline)
    outcomes = runner.run(config, folder / "root", stages.select(config))
    return Prepared(folder / "root", outcomes[0].metrics, outcomes[1].metrics["split"])


def test_the_accounts_of_a_dirty_log_add_up(prepared: Prepared, expected: Account) -> None:
    outcomes = Counter(dict.fromkeys(("merged", "rejected", "filtered"), 0))
    reasons: Counter[str] = Counter()
    for (_, outcome, reason, _), count in expected.left_out.items():
        outcomes[outcome] += count
        reasons[f"{outcome}: {reason}"] += count
    accounts = prepared.metrics["accounts"]
    assert accounts["read"] == expected.read == 700 == accounts["kept"] + sum(outcomes.values())
    assert {outcome: accounts[outcome] for outcome in outcomes} == outcomes
    assert prepared.metrics["reasons"] == reasons
    assert len(reasons) == 16
    assert list(prepared.metrics["reasons"].values()) == sorted(reasons.values(), reverse=True)
    sets = prepared.sets
    assert sets["ratings"] + sets["holdout"] == sets["kept"] == len(expected.kept) > 100
    assert accounts["kept"] == sets["kept"] and sets["validation"] == 0
    assert manifests.load(prepared.root, "interactions").manifest.info == prepared.metrics
    assert manifests.load(prepared.root, "ratings").manifest.info["accounts"] == sets
    data = manifests.load(prepared.root, "holdout").manifest.info["data"]
    assert data["rows"] == prepared.metrics["accounts"]["kept"]


def test_every_row_left_out_of_a_dirty_log_is_written_with_its_file_and_text(
    prepared: Prepared, expected: Account
) -> None:
    found = Counter(
        (r["source_file"], r["outcome"], r["reason"], r["raw"])
        for r in prepared.rows("rejected_ratings")
    )
    assert found == expected.left_out


def test_ratings_and_holdout_share_the_kept_pairs_of_a_dirty_log(
    prepared: Prepared, expected: Account
) -> None:
    ratings, holdout = prepared.pairs("ratings"), prepared.pairs("holdout")
    assert not ratings.keys() & holdout.keys()
    assert ratings | holdout == expected.kept
    warm = Counter(user for user, _ in ratings)
    cold_items = {row["item"] for row in prepared.rows("holdout") if row["cold"]}
    assert cold_items
    assert not cold_items & {row["item"] for row in prepared.rows("ratings")}
    held = Counter(row["user"] for row in prepared.rows("holdout") if not row["cold"])
    users = {row["user_id"]: row["user"] for row in prepared.rows("users")}
    for user_id, user in users.items():
        total = warm[user_id] + held[user]
        assert held[user] == (0 if total == 0 else min(int(0.3 * total + 0.5), total - 1))


def test_kept_users_and_items_of_a_dirty_log_are_numbered_and_titled(
    prepared: Prepared, expected: Account
) -> None:
    items = sorted({item for _, item in expected.kept})
    assert {row["user_id"]: row["user"] for row in prepared.rows("users")} == {
        user: n for n, user in enumerate(sorted({user for user, _ in expected.kept}))
    }
    assert {(row["item"], row["item_id"], row["title"]) for row in prepared.rows("items")} == {
        (n, item, expected.titles[item]) for n, item in enumerate(items)
    }


def test_a_users_ratings_lie_together_and_in_order(prepared: Prepared) -> None:
    for path in manifests.load(prepared.root, "ratings").paths:
        rows = [(row["user"], row["item"]) for row in pq.read_table(path).to_pylist()]
        assert rows == sorted(rows)
    parts = [
        set(pq.read_table(path)["user"].to_pylist())
        for path in manifests.load(prepared.root, "ratings").paths
    ]
    assert len(set().union(*parts)) == sum(map(len, parts))


# -----------------------------------------------------------------------------------------------
# several runs, and empty ones

SMALL = """
[ratings]
path = "{path}"
columns = {{ user_id = "u", item_id = "i", title = "t" }}
value = "one"
"""


def _write(path: Path, *lines: str) -> str:
    """Write lines of user, item, title and value under a header; returns their pipeline."""
    path.write_text("\n".join(["u,i,t,v", *lines]), encoding="utf-8")
    return SMALL.format(path=path)


def _datasets(root: Path) -> list[str]:
    return [path.parent.name for path in root.glob("*/manifest.json")] + [
        path.name for path in root.rglob("*.parquet")
    ]


def test_a_second_run_keeps_indices_and_titles_and_takes_newer_ones(
    run: Run, read: Read, tmp_path: Path
) -> None:
    run(
        _write(tmp_path / "one.csv", "u2,i5,Five,", "u2,i3,Three,", "u9,i9,,"),
        only="prepare-ratings",
    )
    assert read("items").to_pylist() == [
        {"item": 0, "item_id": "i3", "title": "Three"},
        {"item": 1, "item_id": "i5", "title": "Five"},
        {"item": 2, "item_id": "i9", "title": None},
    ]
    run(
        _write(tmp_path / "two.csv", "u1,i9,Nine,", "u9,i5,,", "u9,i1,One,", "u1,i3,Drei,"),
        only="prepare-ratings",
    )
    assert sorted(
        (row["item"], row["item_id"], row["title"]) for row in read("items").to_pylist()
    ) == [
        (0, "i3", "Drei"),
        (1, "i5", "Five"),
        (2, "i9", "Nine"),
        (3, "i1", "One"),
    ]
    assert sorted((row["user"], row["user_id"]) for row in read("users").to_pylist()) == [
        (0, "u2"),
        (1, "u9"),
        (2, "u1"),
    ]
    assert sorted((row["user"], row["item"]) for row in read("interactions").to_pylist()) == [
        (1, 1),
        (1, 3),
        (2, 0),
        (2, 2),
    ]


def test_when_nothing_is_left_the_top_reasons_are_told_and_nothing_is_written(
    run: Run, root: Path, tmp_path: Path
) -> None:
    lines = ["u,i,t,x"] * 3 + [",i,t,1"] * 4 + ["u,,t,1"] * 2 + ["u,i"] + ["u,i,t,1"]
    settings = 'value = "count"\nmin_user_ratings = 2\nmax_rejected = 1.0'
    toml = _write(tmp_path / "in.csv", *lines).replace('value = "one"', settings)
    with pytest.raises(EmptyDatasetError) as caught:
        run(toml.replace('title = "t"', 'value = "v"'), only="prepare-ratings")
    told = (
        "of 11 rows none is left (4 rejected: user_id is missing; 3 rejected: value is"
        " not a number; "
    )
    assert str(caught.value) == f"{tmp_path}/in.csv: {told}2 rejected: item_id is missing)"
    assert _datasets(root) == []
    status = json.loads((root / "_status" / "prepare-ratings.json").read_bytes())
    assert (status["state"], status["exit_code"]) == ("failed", 3)


def test_when_everything_is_held_out_that_is_told_first(
    run: Run, root: Path, tmp_path: Path
) -> None:
    toml = _write(tmp_path / "in.csv", "u,i,,2020-01-02", "v,i,,2020-01-03", "v,j,,noon")
    toml = (
        toml.replace('title = "t"', 'timestamp = "v"')
        + 'timestamp_format = "yyyy-MM-dd"\nmax_rejected = 0.5\n'
    )
    with pytest.raises(
        EmptyDatasetError,
        match=r"of 2 interactions none is left .* \(2 are held out, 0 are for validation\)",
    ):
        run(
            toml,
            "split.by=time",
            "split.after=2020-01-01",
        )
    assert not {"ratings", "validation", "holdout"} & set(_datasets(root))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            'timestamp_format = "%Y-%m-%Q"',
            "timestamp_format: '%Y-%m-%Q' holds %Q, which is not known",
        ),
        (
            'timestamp_format = "second"',
            "timestamp_format: 'second' .* expected seconds, milliseconds",
        ),
        (
            'reject = [{ column = "u", pattern = "(C", reason = "cancelled" }]',
            "reject.0.pattern: not a regular expression",
        ),
        (
            'clean_user_ids = [{ pattern = "[" }]',
            "clean_user_ids.0.pattern: not a regular expression",
        ),
    ],
)
def test_a_format_or_pattern_that_is_none_is_a_config_error(
    run: Run, tmp_path: Path, setting: str, message: str
) -> None:
    toml = _write(tmp_path / "in.csv", "u,i,,1").replace('title = "t"', 'timestamp = "v"')
    with pytest.raises(ConfigError, match=message):
        run(toml + setting, only="prepare-ratings")


# -------------------------------------------------------------------------------------------------
# too much that is rejected

HALF = (",5", "")
GERMAN = "\n".join(
    [
        "u;i;v;at",
        *(
            f"u{n % 9};i{n % 7};{n % 5}{(',5', '')[n % 2]};{n % 28 + 1:02}.03.2021 {n % 24:02}:30"
            for n in range(60)
        ),
    ]
)


def _german(folder: Path, settings: str = "") -> str:
    (folder / "log.csv").write_text(GERMAN, encoding="utf-8")
    return f"""
[ratings]
path = "{folder}/log.csv"
separator = ";"
columns = {{ user_id = "u", item_id = "i", value = "v", timestamp = "at" }}
timestamp_format = "%d.%m.%Y %H:%M"
{settings}
"""


def test_more_rejected_rows_than_allowed_stop_the_stage_with_the_reason_an_example_and_the_setting(
    run: Run, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        run(_german(tmp_path), only="prepare-ratings")
    told = str(caught.value)
    assert told.startswith(
        "30 of 60 rows (50.0%) cannot be used, and ratings.max_rejected = 0.05 is the most that may"
        " be: "
    )
    assert "; correct the settings" in told
    assert re.search(
        r": 30 value is not a number \(see decimal, thousands\), such as"
        r" 'u0;i\d;\d,5;\d\d\.03\.2021 \d\d:30' in log",
        told,
    )
    assert not isinstance(caught.value, EmptyDatasetError)
    assert _datasets(root) == []


def test_a_decimal_comma_and_a_german_time_are_read_by_their_settings(
    run: Run, tmp_path: Path
) -> None:
    outcome = run(_german(tmp_path, 'decimal = ","'), only="prepare-ratings")[0]
    assert outcome.metrics["accounts"] == {
        "read": 60, "kept": 60, "merged": 0, "rejected": 0, "filtered": 0,
    }  # fmt: skip


def test_rows_that_a_rule_names_are_not_counted_as_too_many(run: Run, tmp_path: Path) -> None:
    toml = _write(tmp_path / "in.csv", *(f",i{n},," for n in range(9)), "u,i,,")
    rule = '[[ratings.reject]]\ncolumn = "u"\npattern = "^$"\nreason = "no customer"\n'
    outcome = run(toml + rule, only="prepare-ratings")[0]
    assert outcome.metrics["reasons"] == {"rejected: no customer": 9}


# ------------------------------------------------------------------------------------------------
# spellings, weights, a window


def test_spellings_of_one_id_are_joined_and_counted(run: Run, read: Read, tmp_path: Path) -> None:
    names = [
        "Bj\u00f6rn",
        "Bjo\u0308rn",
        "Bj\u00f6rn\t",
        "Bj\u00f6rn\u00a0",
        "ann",
        "ann",
        "bob\u3000",
        "bob",
    ]
    toml = _write(tmp_path / "in.csv", *(f'"{name}",i{n},,' for n, name in enumerate(names)))
    outcome = run(toml, only="prepare-ratings")[0]
    assert sorted(read("users")["user_id"].to_pylist()) == ["Bj\u00f6rn", "ann", "bob"]
    assert outcome.metrics["joined"] == {"users": 4, "items": 0}
    run(toml + "normalize = false\n", only="prepare-ratings")
    assert len(set(read("interactions")["user"].to_pylist())) == 7


def test_events_count_by_their_weights_within_a_window(
    run: Run, read: Read, tmp_path: Path
) -> None:
    lines = [
        "a,i,view,2021-03-01",
        "a,i,cart,2021-03-02",
        "a,j,purchase,2021-03-03",
        "b,i,view,2020-01-01",
        "b,j,hover,2021-03-03",
    ]
    lines += ["b,k,glance,2021-03-03", "b,k,view,2021-04-01", "c,k,view,2021-02-20"]
    (tmp_path / "in.csv").write_text("\n".join(["u,i,what,at", *lines]), encoding="utf-8")
    toml = f"""
[ratings]
path = "{tmp_path}/in.csv"
columns = {{ user_id = "u", item_id = "i", event = "what", timestamp = "at" }}
value = "one"
keep = "sum"
weights = {{ view = 1, cart = 3, purchase = 5.5, glance = 0 }}
timestamp_format = "iso"
since = 2021-01-01
until = "2021-04-01"
last_days = 10
max_rejected = 0.2
"""
    outcome = run(toml, only="prepare-ratings")[0]
    users, items = (
        {row[f"{side}_id"]: row[side] for row in read(f"{side}s").to_pylist()}
        for side in ("user", "item")
    )
    found = {(row["user"], row["item"]): row["value"] for row in read("interactions").to_pylist()}
    assert found == {(users["a"], items["i"]): 4.0, (users["a"], items["j"]): 5.5}
    assert outcome.metrics["reasons"] == {
        "filtered: earlier than since": 1,
        "filtered: event weighs 0": 1,
        "filtered: more than 10 days before the newest": 1,
        "filtered: not before until": 1,
        "merged: added to the pair's sum": 1,
        "rejected: event has no weight": 1,
    }
