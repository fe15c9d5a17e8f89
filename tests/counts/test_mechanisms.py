"""What noise hides, measured on 100,000 draws of data in which one person is, and is not."""

import numpy as np
import pytest
from scipy.stats import beta

from emberline.counts import mechanisms
from emberline.numeric.arrays import Array, Int64

DRAWS, FEWER, EPSILON = 100_000, 15_000, 1.0
DOUBT = 1e-6  # how often a test may fail that should not


def at_least(hits: int, draws: int) -> float:
    """The least probability that so many hits go with (Clopper and Pearson, 1934)."""
    return float(beta.ppf(DOUBT, hits, draws - hits + 1)) if hits else 0.0


def at_most(hits: int, draws: int) -> float:
    return float(beta.ppf(1 - DOUBT, hits + 1, draws - hits)) if hits < draws else 1.0


def least_epsilon(one: Array, other: Array) -> float:
    """An epsilon that a mechanism has at least, by draws of numbers (n,) on neighbouring data: of
    the events "at most t" and "at least t", for a few t, the one that tells most is chosen by one
    half of the draws, and measured by the other (as Jagielski, Ullman and Oprea do, 2020).
    """
    half = len(one) // 2
    near = range(int(np.median(one)) - 3, int(np.median(one)) + 5)
    events = [(sign, sign * t) for sign in (1, -1) for t in near]

    def told(event: tuple[int, int], some: slice) -> float:
        hits = [int((event[0] * each[some] <= event[1]).sum()) for each in (one, other)]
        draws = len(one[some])
        pairs = [hits, hits[::-1]]
        return max(float(np.log(at_least(p, draws) / at_most(q, draws) + 1e-9)) for p, q in pairs)

    best = max(events, key=lambda event: told(event, slice(half)))
    return told(best, slice(half, None))


def drawn(count: int, draws: int, per_user: int, added: int) -> Int64:
    """The largest of so many counts that a person has added to, in so many draws: (n,)."""
    shown, _ = mechanisms.of_known(np.full(draws * added, count), per_user, EPSILON)
    return shown.reshape(draws, added).max(axis=1)


def told_by(draws: int, per_user: int, added: int) -> float:
    """The epsilon of counts to each of which somebody has added 1, or has not."""
    return least_epsilon(*(drawn(count, draws, per_user, added) for count in (100, 101)))


@pytest.mark.parametrize(("draws", "added", "least"), [(DRAWS, 1, 0.9), (FEWER, 2, 0.6)])
def test_no_more_is_told_of_a_person_than_epsilon_says(
    draws: int, added: int, least: float
) -> None:
    """And not much less, or there would be more noise than it takes."""
    assert least * EPSILON < told_by(draws, added, added) <= EPSILON


def test_half_of_the_noise_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mechanisms._scale
    monkeypatch.setattr(mechanisms, "_scale", lambda *given: whole(*given) / 2)
    assert told_by(FEWER, 1, 1) > 1.5 * EPSILON


def test_noise_for_one_count_does_not_pass_where_a_person_adds_to_two() -> None:
    assert told_by(FEWER, 1, 2) > 1.5 * EPSILON


def test_counts_of_unknown_keys_tell_no_more_either() -> None:
    """Those that are above the threshold in any case."""
    found = [
        mechanisms.of_unknown(np.full(FEWER, count), 1, EPSILON, 1e-6)[1] for count in (500, 501)
    ]
    assert [len(each) for each in found] == [FEWER, FEWER]
    assert 0.6 * EPSILON < least_epsilon(*found) <= EPSILON


def test_a_key_of_one_person_alone_is_shown_with_probability_delta_at_most() -> None:
    """OpenDP 0.16 says a smaller delta than its thresholds have (opendp#2922)."""
    delta, ones = 4e-3, np.ones(FEWER, np.int64)
    shown, _, noise = mechanisms.of_unknown(ones, 1, EPSILON / 4, delta)
    assert noise.delta <= delta and noise.threshold is not None
    assert delta / 2 < at_most(len(shown), FEWER) and at_least(len(shown), FEWER) <= delta
    lower = mechanisms._unknown(noise.scale, noise.threshold - 4)
    assert at_least(len(lower(dict(enumerate(ones.tolist())))), FEWER) > delta


def test_noise_is_symmetric_and_as_wide_as_its_scale() -> None:
    """The variance of the discrete Laplace distribution is 2 q / (1 - q)^2, q = exp(-1 / b)."""
    shown, noise = mechanisms.of_known(np.full(20_000, 1000), 4, 0.5)
    q = np.exp(-1 / noise.scale)
    assert noise.scale == pytest.approx(8.0)
    assert (shown - 1000).mean() == pytest.approx(0, abs=0.5)
    assert (shown - 1000).var() == pytest.approx(2 * q / (1 - q) ** 2, rel=0.1)


def test_no_two_draws_are_the_same_and_none_is_below_0() -> None:
    draws = [mechanisms.of_known(np.zeros(1000, np.int64), 1, 0.1)[0] for _ in range(2)]
    assert (draws[0] != draws[1]).any() and min(map(np.min, draws)) == 0


def test_nothing_is_counted_where_nothing_is_there() -> None:
    nothing = np.empty(0, np.int64)
    assert len(mechanisms.of_known(nothing, 3, 1.0)[0]) == 0
    assert len(mechanisms.of_unknown(nothing, 3, 1.0, 1e-6)[0]) == 0
