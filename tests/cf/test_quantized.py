"""Numbers in few bytes: how much is lost, beside what an int8 of half a step would lose."""

import numpy as np
import pytest

from emberline.cf.quantized import Quantized

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("width", [1, 7, 64])
def test_no_number_is_wrong_by_more_than_a_thirty_second_of_its_rows_scale(width: int) -> None:
    rows = RNG.normal(size=(500, width)).astype(np.float32) * RNG.lognormal(size=(500, 1))
    rows = rows.astype(np.float32)
    few = Quantized.of(rows)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    wrong = np.abs(few.rows(slice(None)) - rows)
    assert (wrong <= largest / 127 / 32 * 1.001).all()
    assert wrong.max() > 0
    by_int8_alone = np.abs(few.codes * few.scales[:, None] - rows)
    assert (by_int8_alone <= largest / 127 / 2 * 1.001).all()
    assert few.codes.nbytes + few.rest.nbytes + few.scales.nbytes == 500 * (
        width + -(-width // 2) + 4
    )


def test_zeros_and_single_rows_come_back() -> None:
    rows = np.array([[0, 0, 0], [0, 5, -5], [1e-30, 0, 0]], np.float32)
    few = Quantized.of(rows)
    assert few.rows(np.array([1, 0])) == pytest.approx(rows[[1, 0]], abs=5 / 127 / 32)
    assert np.abs(few.rows(slice(0, 1))).max() <= 1e-37
    assert len(Quantized.of(np.empty((0, 3), np.float32))) == 0


def test_scores_are_those_of_the_codes() -> None:
    rows = RNG.normal(size=(9_000, 16)).astype(np.float32)  # more than are in float32 at a time
    few, vector = Quantized.of(rows), RNG.normal(size=16).astype(np.float32)
    expected = (few.codes.astype(np.float64) * few.scales[:, None]) @ vector
    assert few.scores(vector) == pytest.approx(expected, abs=1e-5)
