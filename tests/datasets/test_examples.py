"""How pictures are divided into those for training, for choosing and for testing."""

from dataclasses import replace

import pyarrow as pa
import pytest
from pydantic import ValidationError

from emberline.datasets.examples import MET, Division
from emberline.sections.shards import ShardsConfig

DIVISION = Division(seed=1, val=0.2, test=0.25, classes=("a", "b"))


def _splits(division: Division, count: int = 2000, told: str | None = None) -> list[str]:
    rows = [
        {"item": n, "item_id": f"i{n}", "label": "ab"[n % 2], "split": told} for n in range(count)
    ]
    found: list[str] = division.of(pa.RecordBatch.from_pylist(rows, schema=MET)).to_pylist()
    return found


def _tested(splits: list[str]) -> set[int]:
    return {n for n, split in enumerate(splits) if split == "test"}


def test_each_picture_is_tested_on_in_one_fold_whatever_its_publisher_says() -> None:
    folds = [replace(DIVISION, test=0.0, fold=fold, folds=4) for fold in (1, 2, 3, 4)]
    tested = [_tested(_splits(fold, told="train")) for fold in folds]
    assert sorted(n for each in tested for n in each) == list(range(2000))
    assert all(400 < len(each) < 600 for each in tested)


def test_for_choosing_what_would_be_tested_on_is_for_nothing() -> None:
    usual, aside = _splits(DIVISION), _splits(replace(DIVISION, set_aside=0.2))
    assert {n for n, split in enumerate(aside) if split == "none"} == _tested(usual)
    moved = {(then, now) for then, now in zip(usual, aside, strict=True) if then != now}
    assert moved == {("test", "none"), ("train", "test"), ("val", "test")}
    assert 250 < len(_tested(aside)) < 350  # a fifth of three quarters


@pytest.mark.parametrize(
    "wrong",
    [{"folds": 3}, {"fold": 1}, {"folds": 3, "fold": 4}, {"folds": 3, "fold": 1, "test": 0.1}],
)
def test_folds_that_do_not_fit_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=r"folds"):
        ShardsConfig.model_validate({"task": "class", **wrong})
    ShardsConfig.model_validate({"task": "class", "folds": 3, "fold": 3})
