"""prepare-ratings on real data, against counts made with Python's csv module."""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.runs import runner
from emberline.runs.runner import Outcome

Pair = tuple[str, str]
PIPELINES = Path(__file__).parents[2] / "jobs" / "pipelines"

pytestmark = pytest.mark.faults


def _core(pairs: set[Pair], minimum: int) -> set[Pair]:
    """The pairs left when users and items with fewer than `minimum` go, until all have as many."""
    while True:
        users, items = Counter(user for user, _ in pairs), Counter(item for _, item in pairs)
        left = {
            (user, item)
            for user, item in pairs
            if users[user] >= minimum and items[item] >= minimum
        }
        if left == pairs:
            return pairs
        pairs = left


def _rows(root: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.concat_tables(
        [pq.read_table(path) for path in manifests.load(root, name).paths]
    ).to_pylist()
    return rows


def _pairs(root: Path, name: str) -> dict[Pair, tuple[float, datetime]]:
    """(user_id, item_id) to value and time of a committed table."""
    users = {row["user"]: row["user_id"] for row in _rows(root, "users")}
    items = {row["item"]: row["item_id"] for row in _rows(root, "items")}
    rows = _rows(root, name)
    found = {
        (users[row["user"]], items[row["item"]]): (row["value"], row["timestamp"]) for row in rows
    }
    assert len(found) == len(rows)
    return found


# --------------------------------------------------------------------------------------------------
# Online Retail


@dataclass
class Retail:
    """The shop's year as Python reads it: lines per reason, and the good lines of each customer
    and item.
    """

    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    bought: dict[Pair, list[tuple[datetime, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    titles: dict[str, list[tuple[datetime, str]]] = field(default_factory=lambda: defaultdict(list))


def _fault(row: dict[str, str]) -> str | None:
    if row["InvoiceNo"].startswith("C"):
        return "cancelled invoice"
    if not row["CustomerID"].strip():
        return "no customer"
    if not row["StockCode"].strip():
        return "item_id is missing"
    return None if float(row["Quantity"]) > 0 else "count is not positive"


@pytest.fixture(scope="module")
def retail(shared_data: Path) -> Retail:
    found = Retail()
    for path in sorted((shared_data / "online-retail").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found.read += 1
                if fault := _fault(row):
                    found.rejected[fault] += 1
                    continue
                time = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=UTC)
                item = row["StockCode"].strip()
                found.bought[str(int(float(row["CustomerID"]))), item].append(
                    (time, float(row["Quantity"]))
                )
                if title := row["Description"].strip(" "):
                    found.titles[item].append((time, title))
    return found


@pytest.fixture(scope="module")
def core(retail: Retail) -> set[Pair]:
    return _core(set(retail.bought), 5)


@pytest.fixture(scope="module")
def retail_root(
    spark: SparkSession, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    root = tmp_path_factory.mktemp("retail")
    config = pipelines.load(
        PIPELINES / "retail.toml", [f"ratings.path={shared_data}/online-retail"]
    )
    runner.run(config, root, stages.in_pipeline(config)[:2])
    return root


def test_every_line_of_the_shop_is_accounted_for(
    retail: Retail, core: set[Pair], retail_root: Path
) -> None:
    info = manifests.load(retail_root, "interactions").manifest.info
    sets = manifests.load(retail_root, "ratings").manifest.info["accounts"]
    merged, filtered = (
        sum(map(len, retail.bought.values())) - len(retail.bought),
        len(retail.bought) - len(core),
    )
    accounts = info["accounts"]
    assert accounts["read"] == retail.read == 541_909
    assert accounts["rejected"] == retail.rejected.total()
    assert accounts["merged"] == merged
    assert accounts["filtered"] == filtered
    assert accounts["kept"] == len(core) == sets["ratings"] + sets["holdout"]
    assert retail.read == retail.rejected.total() + merged + filtered + len(core)


def test_every_line_that_the_shop_loses_has_its_reason_and_its_text(
    retail: Retail, core: set[Pair], retail_root: Path
) -> None:
    users = {user for user, _ in core}
    filtered = Counter(
        "item" if user in users else "user" for user, item in retail.bought.keys() - core
    )
    expected = {("rejected", reason): count for reason, count in retail.rejected.items()}
    expected |= {
        ("filtered", f"{side} has fewer than 5 ratings"): count for side, count in filtered.items()
    }
    expected["merged", "added to the pair's sum"] = sum(map(len, retail.bought.values())) - len(
        retail.bought
    )
    rows = _rows(retail_root, "rejected_ratings")
    assert Counter((row["outcome"], row["reason"]) for row in rows) == expected
    assert {row["source_file"] for row in rows} <= {f"{day}.csv" for day in _days(retail)}
    cancelled = [row["raw"] for row in rows if row["reason"] == "cancelled invoice"]
    assert all(raw.startswith("C") for raw in cancelled)


def _days(retail: Retail) -> set[str]:
    return {f"{time:%Y-%m-%d}" for lines in retail.bought.values() for time, _ in lines}


def test_what_customers_bought_is_summed_and_split(
    retail: Retail, core: set[Pair], retail_root: Path
) -> None:
    ratings, holdout = _pairs(retail_root, "ratings"), _pairs(retail_root, "holdout")
    assert not ratings.keys() & holdout.keys()
    expected = {
        pair: (sum(n for _, n in retail.bought[pair]), max(time for time, _ in retail.bought[pair]))
        for pair in core
    }
    assert ratings | holdout == expected
    counts = Counter(user for user, _ in core)
    assert Counter(user for user, _ in holdout) == {
        user: int(0.2 * count + 0.5) for user, count in counts.items()
    }


def test_the_shops_items_have_their_newest_title(
    retail: Retail, core: set[Pair], retail_root: Path
) -> None:
    expected = {item: max(retail.titles[item])[1] for item in {item for _, item in core}}
    assert {row["item_id"]: row["title"] for row in _rows(retail_root, "items")} == expected


# --------------------------------------------------------------------------------------------------
# MovieLens


def test_all_of_movielens_is_kept(
    run: Callable[..., list[Outcome]], root: Path, shared_data: Path
) -> None:
    path = shared_data / "movielens-latest-small" / "ratings.csv"
    with path.open(newline="") as file:
        expected = {
            (row["userId"], row["movieId"]): (
                float(row["rating"]),
                datetime.fromtimestamp(int(row["timestamp"]), UTC),
            )
            for row in csv.DictReader(file)
        }
    pipeline = (PIPELINES / "movielens.toml").read_text(encoding="utf-8")
    outcome = run(pipeline, f"ratings.path={path}", only="prepare-ratings")[0]
    sets = run(pipeline, f"ratings.path={path}", only="split-ratings")[0].rows
    assert outcome.rows["interactions"] == len(expected) == 100_836
    assert sets["ratings"] + sets["holdout"] == 100_836
    assert outcome.rows["rejected_ratings"] == 0
    assert (outcome.rows["users"], outcome.rows["items"]) == (610, 9724)
    assert _pairs(root, "ratings") | _pairs(root, "holdout") == expected
