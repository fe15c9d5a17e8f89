"""Folds over one base: what each holds, and what is said of all of them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

import pyarrow.parquet as pq
import pytest
from tests.tuning.conftest import write_pipeline

from emberline import pipelines
from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.datasets.measures import reports_of
from emberline.errors import ConfigError
from emberline.folds import ways
from emberline.folds.crossing import Folds, cross
from emberline.folds.result import Result
from emberline.folds.ways import Of

Cross = Callable[..., Result]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("small"))


def _folds(pipeline: Path, of: Of, *overrides: str, count: int = 2) -> Folds:
    return Folds("small.toml", pipelines.content_of(pipeline, overrides), count, of)


def _holdout(root: Path) -> list[tuple[int, int]]:
    tables = [pq.read_table(path) for path in manifests.load(root, "holdout").paths]
    return [(row["user"], row["item"]) for table in tables for row in table.to_pylist()]


def test_folds_of_ratings_hold_each_once_and_are_told_side_by_side(
    pipeline: Path, tmp_path: Path
) -> None:
    found = cross(_folds(pipeline, "ratings"), storage.locate(str(tmp_path)))
    held = [_holdout(tmp_path / f"fold-{fold}") for fold in (1, 2)]
    every = manifests.load(tmp_path / "base", "interactions").rows
    assert not set(held[0]) & set(held[1]) and len(held[0]) + len(held[1]) == every
    assert not (tmp_path / "fold-1" / "interactions").exists()  # which the base has
    reached = []
    for fold in (1, 2):
        metrics = reports_of(manifests.load(tmp_path / f"fold-{fold}", "metrics"))["holdout"]
        reached += [
            row.value for row in metrics.metrics if (row.model, row.metric) == ("als", "ndcg@10")
        ]
    (row,) = (row for row in found.rows if (row.model, row.metric) == ("als", "ndcg@10"))
    assert row.values == reached
    assert (row.mean, row.deviation) == pytest.approx((mean(reached), stdev(reached)))
    written = json.loads((tmp_path / "folds.json").read_text())
    assert [one["metric"] for one in written["rows"]] == [one.metric for one in found.rows]
    table = list(csv.DictReader((tmp_path / "folds.csv").open()))
    (line,) = (line for line in table if (line["model"], line["metric"]) == ("als", "ndcg@10"))
    assert [float(line["fold_1"]), float(line["fold_2"])] == reached


def test_folds_of_items_rank_items_that_nobody_has_rated(pipeline: Path, tmp_path: Path) -> None:
    found = cross(_folds(pipeline, "items"), storage.locate(str(tmp_path)))
    items = [{item for _, item in _holdout(tmp_path / f"fold-{fold}")} for fold in (1, 2)]
    assert not items[0] & items[1] and len(items[0] | items[1]) == 30
    assert {row.report for row in found.rows} == {"cold items"}


@pytest.mark.parametrize(
    ("of", "overrides", "told"),
    [
        ("time", (), "folds in time need to know how long one is: give --days"),
        ("time", ("split.by=time", "split.last_days=3"), "needs ratings.columns.timestamp"),
        ("pictures", (), "folds of pictures need shards.task"),
        ("ratings", ("als.iterations=0", "als.start_from=previous"), "have seen all folds"),
    ],
)  # fmt: skip
def test_folds_that_cannot_be_are_told_before_anything_runs(
    pipeline: Path, tmp_path: Path, of: Of, overrides: tuple[str, ...], told: str
) -> None:
    kept = [one for one in overrides if not one.startswith("split.")]
    folds = _folds(pipeline, of, *kept)
    if len(kept) < len(overrides):
        folds = Folds(folds.name, folds.content, 2, of, days=3.0)
    with pytest.raises(ConfigError, match=told):
        cross(folds, storage.locate(str(tmp_path / "none")))
    assert not (tmp_path / "none").exists()


def test_no_fold_begins_at_factors_that_have_seen_all_of_them(pipeline: Path) -> None:
    content = _folds(pipeline, "ratings", "als.start_from=previous").content_of(1)
    assert "start_from" not in content["als"]


def test_folds_in_time_step_back_from_the_newest(pipeline: Path) -> None:
    content = pipelines.content_of(pipeline, ["ratings.columns.timestamp=at"])
    folds = Folds("small.toml", content, 3, "time", days=7.0)
    assert [folds.content_of(fold)["split"].get("skip_days") for fold in (1, 2, 3)] == [14, 7, None]


def test_folds_are_of_what_the_holdout_is_of_where_nobody_says(pipeline: Path) -> None:
    def usual(*overrides: str) -> str:
        given = pipelines.content_of(pipeline, ["ratings.columns.timestamp=at"])
        given["split"] = dict(one.split("=") for one in overrides)
        numbers = {key: int(value) for key, value in given["split"].items() if value.isdigit()}
        given["split"] |= numbers
        return ways.usual(pipelines.config_of(given, "small.toml"))

    assert usual("by=time", "last_days=3") == "time"
    assert usual("by=last", "n=1") == "ratings"
    assert usual("by=folds", "folds=5", "fold=1", "of=users") == "users"
