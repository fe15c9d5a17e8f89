"""Lists by the defaults beside the most popular items, on real data and on generated shapes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from pyspark.sql import SparkSession

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LEAST = {"movielens": 0.26, "retail": 0.2}
NAMES = ["movielens", "retail", "stars", "plays", "clicks", "few-stars"]


@pytest.fixture(scope="module")
def scripts() -> Iterator[None]:
    """The folder's modules by the names that they import each other by."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield
    for name in ("data", "harness", "lists", "shapes"):
        sys.modules.pop(name, None)


@pytest.fixture
def lists(scripts: None) -> ModuleType:
    import lists

    return lists


@pytest.mark.faults
@pytest.mark.parametrize("name", NAMES)
def test_lists_by_the_defaults_are_far_better_than_the_most_popular_items(
    spark: SparkSession, lists: ModuleType, tmp_path: Path, name: str
) -> None:
    assert_good(lists, name, tmp_path)


def assert_good(lists: ModuleType, name: str, folder: Path) -> None:
    found = list(lists.cases(folder, [name]))
    if not found:
        pytest.skip(f"{name} is not at hand")
    ((_, pipeline, overrides),) = found
    for model in lists.MODELS:
        reached = lists.lists_by(model, pipeline, folder / "root", overrides)
        assert reached["times popular"] >= 1.3, (model, reached)
        assert reached["quality"] >= LEAST.get(name, 0), (model, reached)


def test_generated_counts_have_a_heavy_tail_and_are_fixed_by_the_seed(scripts: None) -> None:
    import shapes

    plays = shapes.make(shapes.SHAPES["plays"])
    values = plays["value"].to_numpy()
    assert 100 < np.median(values) < 400 and values.max() > 300_000 and values.min() == 1
    assert plays.equals(shapes.make(shapes.SHAPES["plays"])) and not plays.equals(
        shapes.make(shapes.SHAPES["plays"], seed=2)
    )
    met = np.sort(np.bincount(plays["item"].to_numpy()))[::-1]
    assert met[: len(met) // 100].sum() > 0.05 * met.sum()
