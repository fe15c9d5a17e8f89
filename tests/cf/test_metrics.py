"""Sums of parts, classes, and the table of metrics, beside numbers computed by hand."""

import json

import numpy as np
import pytest

from emberline.cf import confusion, ranks
from emberline.cf.list_metrics import list_names
from emberline.cf.metrics import METRICS, Sums, direction_of, metric_of, per_class, protocol
from emberline.evaluation import rating_errors


def test_every_metric_of_every_kind_is_in_the_table() -> None:
    kinds = [list_names((10,)), ranks.names_of((20,)), confusion.METRICS, rating_errors.METRICS]
    named = [metric_of(name) for names in kinds for name in names]
    assert None not in named
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert {direction_of(name) for name in ("rmse", "mae", "calibration error")} == {"lower"}
    assert direction_of("ndcg@10") == "higher" and direction_of("gini@10") == "neither"


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(2).random((101, 3)) * [1, 10, 0] + [0, 5, 0.25]


@pytest.mark.parametrize("cuts", [[50], [1, 2], [0, 30, 30, 101]])
def test_sums_of_parts_merge_to_the_sums_of_all(values: np.ndarray, cuts: list[int]) -> None:
    merged, whole = Sums.empty(3), Sums.of(values)
    for part in np.split(values, cuts):
        merged = merged.merge(Sums.of(part))
    assert merged.count == whole.count == 101
    np.testing.assert_allclose(merged.mean(), whole.mean(), rtol=1e-12)
    np.testing.assert_allclose(
        merged.standard_error(), whole.standard_error(), rtol=1e-9, atol=1e-9
    )


def test_mean_and_standard_error_are_numpys(values: np.ndarray) -> None:
    sums = Sums.of(values)
    np.testing.assert_allclose(sums.mean(), values.mean(axis=0))
    np.testing.assert_allclose(
        sums.standard_error(), values.std(axis=0, ddof=1) / np.sqrt(101), atol=1e-9
    )


def test_nothing_has_no_mean_and_one_value_no_standard_error() -> None:
    assert np.isnan(Sums.empty(2).mean()).all()
    one = Sums.of(np.array([[3.0, 4.0]]))
    assert one.mean().tolist() == [3, 4]
    assert np.isnan(one.standard_error()).all()


def test_classes_are_measured_by_their_row_and_column_of_the_confusion() -> None:
    """Class 1 is never predicted, class 2 never true."""
    confusion = np.array([[6, 0, 2], [3, 0, 1], [0, 0, 0]], np.float64)
    precision, recall = 6 / 9, 6 / 8
    first = [precision, recall, 2 / (1 / precision + 1 / recall)]
    assert per_class(confusion).tolist() == [pytest.approx(first), [0, 0, 0], [0, 0, 0]]


def test_classes_that_are_always_right_measure_one_and_those_always_wrong_zero() -> None:
    assert per_class(np.diag([1.0, 5.0, 2.0])).tolist() == [[1, 1, 1]] * 3
    assert per_class(np.array([[0.0, 3.0], [4.0, 0.0]])).tolist() == [[0, 0, 0]] * 2


def test_each_class_has_the_precision_and_recall_of_its_pairs() -> None:
    rng = np.random.default_rng(3)
    true, predicted = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    confusion = np.zeros((4, 4))
    np.add.at(confusion, (true, predicted), 1)
    for number, (precision, recall, f1) in enumerate(per_class(confusion).tolist()):
        hits = sum(t == p == number for t, p in zip(true, predicted, strict=True))
        assert precision == pytest.approx(hits / (predicted == number).sum())
        assert recall == pytest.approx(hits / (true == number).sum())
        assert f1 == pytest.approx(
            hits / (hits + ((true == number) != (predicted == number)).sum() / 2)
        )


def test_a_protocols_hash_hangs_on_its_facts_and_not_on_their_order() -> None:
    facts = {"users": "all", "holdout": {"by": "time", "seed": 1}}
    found = protocol("by time", facts)
    assert {key: value for key, value in found.items() if key != "hash"} == {
        "name": "by time",
        **facts,
    }
    assert len(found["hash"]) == 12
    assert (
        protocol("other", {"holdout": {"seed": 1, "by": "time"}, "users": "all"})["hash"]
        == found["hash"]
    )
    assert (
        protocol("by time", {"users": "all", "holdout": {"by": "time", "seed": 2}})["hash"]
        != found["hash"]
    )
    assert json.loads(json.dumps(found)) == found
