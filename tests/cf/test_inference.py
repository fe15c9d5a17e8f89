"""Intervals, tests and adjustments beside SciPy, hand computations, and simulated truths."""

import numpy as np
import pytest
from scipy import stats

from emberline.cf.inference import Difference, Sample, adjusted, difference
from emberline.cf.resampling import Resampled
from emberline.numeric import hashing

REPLICATES = 1000


def sample(values: np.ndarray, seed: int = 1, weights: np.ndarray | None = None) -> Sample:
    """Of users with these values."""
    keys = hashing.of_ids(np.arange(len(values), dtype=np.int32), seed)
    counts = np.ones(len(values)) if weights is None else weights
    return Sample(Resampled.of(keys, values[:, None], counts[:, None], REPLICATES))


def of_root(values: np.ndarray, weights: np.ndarray) -> Sample:
    return Sample.of("rmse", sample(values, 1, weights).users)


RNG = np.random.default_rng(11)
SCORES = np.where(RNG.random(400) < 0.5, 0, RNG.beta(2, 3, 400))


def test_the_interval_is_near_scipys_bootstrap_of_the_mean() -> None:
    low, high = sample(SCORES).interval() or (0.0, 0.0)
    theirs = stats.bootstrap(
        (SCORES,), np.mean, n_resamples=2000, method="percentile", random_state=1
    ).confidence_interval
    width = theirs.high - theirs.low
    assert [low, high] == pytest.approx([theirs.low, theirs.high], abs=0.08 * width)


def test_few_units_have_the_interval_of_students_t() -> None:
    """Of 20 nearly normal values, where plain percentiles would be narrower by a tenth: on the
    average over seeds.
    """
    values = stats.norm.ppf((np.arange(20) + 0.5) / 20)
    halves = [np.diff(sample(values, seed).interval() or (0.0, 0.0))[0] / 2 for seed in range(40)]
    expected = stats.t.ppf(0.975, 19) * values.std(ddof=1) / np.sqrt(20)
    assert np.mean(halves) == pytest.approx(expected, rel=0.05)


def test_what_is_alike_everywhere_or_of_one_unit_has_no_interval() -> None:
    assert sample(np.zeros(50)).interval() is None
    assert sample(np.array([0.3])).interval() is None


def test_a_root_has_the_root_of_the_mean_and_its_interval() -> None:
    """Squared errors of users, by how many ratings they have."""
    squares, counts = RNG.gamma(2, 0.4, 300), RNG.integers(1, 30, 300).astype(float)
    found, plain = of_root(squares, counts), sample(squares, 1, counts)
    assert found.value == pytest.approx(np.sqrt(np.average(squares, weights=counts)))
    assert found.interval() == pytest.approx(np.sqrt(plain.interval() or (0, 0)))
    assert found.standard_error == pytest.approx(plain.standard_error / (2 * found.value))


def test_over_users_and_items_both_variances_add_up() -> None:
    """Of 500 users with one taste and 40 items, most of the noise is the items'."""
    users, items = RNG.normal(0, 0.1, 500), RNG.normal(0, 0.3, 40)
    table = 0.5 + users[:, None] + items[None, :]
    of_users, of_items = sample(table.mean(axis=1)), sample(table.mean(axis=0), seed=3)
    both = Sample(of_users.users, of_items.users)
    assert both.value == of_users.value and both.units == 40
    deviation = both.replicates().std()
    expected = np.hypot(users.std() / 500**0.5, items.std() / 40**0.5)
    assert deviation == pytest.approx(expected, rel=0.1)
    assert of_users.replicates().std() < deviation / 4
    assert both.standard_error == of_items.standard_error


def test_an_interval_ends_where_its_metric_does() -> None:
    """An area near 1 over 200 users and 5 items, which vary much: what both say adds up to more."""
    of_users = sample(RNG.beta(9, 1, 200)).users
    of_items = sample(np.array([1.0, 1.0, 1.0, 1.0, 0.5]), seed=3).users
    free = Sample(of_users, of_items).interval() or (0.0, 0.0)
    assert free[1] > 1
    assert Sample.of("auc", of_users, of_items).interval() == (free[0], 1.0)
    assert Sample.of("mean_popularity@5", of_users, of_items).interval() == free


def test_the_interval_of_a_difference_ends_where_the_largest_difference_does() -> None:
    """One area is near 1 for all users and items, the other one near 0."""
    good, bad = (
        Sample.of("auc", sample(users).users, sample(np.array(items), seed=3).users)
        for users, items in (
            (RNG.beta(9, 1, 200), [1.0, 1.0, 1.0, 1.0, 0.5]),
            (RNG.beta(1, 9, 200), [0.0, 0.5, 0.0, 0.0, 0.0]),
        )
    )
    low, high = difference(good, bad).interval or (0.0, 0.0)
    assert 0 < low < good.value - bad.value and high == 1
    low, high = difference(bad, good).interval or (0.0, 0.0)
    assert low == -1 and bad.value - good.value < high < 0


def test_a_difference_is_paired() -> None:
    """Two models whose users vary a lot, and who differ by .02 for nearly all of them."""
    other = SCORES + 0.02 + RNG.normal(0, 0.01, 400)
    found = difference(sample(other), sample(SCORES))
    assert found.value == pytest.approx((other - SCORES).mean())
    low, high = found.interval or (0.0, 0.0)
    assert high - low == pytest.approx(4 * 0.01 / 20, rel=0.15)
    assert found.p == 1 / (1 + REPLICATES)
    back = difference(sample(SCORES), sample(other))
    assert (back.value, back.p) == (pytest.approx(-found.value), found.p)


def test_the_p_value_is_that_of_scipys_permutation_test() -> None:
    one, other = SCORES[:30], SCORES[:30] + RNG.normal(0.02, 0.08, 30)
    found = difference(sample(other), sample(one))
    theirs = stats.permutation_test(
        (other, one),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        random_state=1,
    ).pvalue
    assert 0.02 < theirs < 0.9
    # 4 standard errors of a share of 1,000
    assert found.p == pytest.approx(theirs, abs=4 * np.sqrt(theirs * (1 - theirs) / 1000))


def test_what_is_the_same_differs_by_nothing() -> None:
    assert difference(sample(SCORES), sample(SCORES)) == Difference(0.0, None, 1.0)


def test_errors_change_sides_by_user() -> None:
    """The better of two models by squared errors, where a user has many ratings."""
    counts = RNG.integers(1, 30, 300).astype(float)
    worse = RNG.gamma(2, 0.4, 300)
    found = difference(of_root(worse * 0.8, counts), of_root(worse, counts))
    assert found.value < 0 and found.p == 1 / (1 + REPLICATES)
    shuffled = np.where(RNG.random(300) < 0.5, worse, worse * 0.8)
    assert difference(of_root(shuffled, counts), of_root(worse * 1.8 - shuffled, counts)).p > 0.05


def test_p_values_of_a_family_are_raised_as_holm_says() -> None:
    """Of .01, .04 and .03: 3 x .01, 2 x .03, and no less than that."""
    assert adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjusted([0.6, 0.5]) == [1, 1]
    assert adjusted([]) == []


# --------------------------------------------------------------------------------------------------
# how often they are right


def half_lists(seed: int, users: int) -> tuple[np.ndarray, np.ndarray]:
    """NDCG@10 of the two halves of one list of 20 places of each user, cut by chance, one of which
    is as good as the other.
    """
    rng = np.random.default_rng(seed)
    relevance = rng.random((users, 20)) < rng.beta(1, 4, (users, 1))
    halves = np.argsort(rng.random((users, 20)), axis=1)
    discounts = 1 / np.log2(np.arange(2, 12))
    wanted = np.minimum(np.maximum(relevance.sum(axis=1), 1), 10)
    ideal = np.cumsum(discounts)[wanted - 1]
    one, other = (np.take_along_axis(relevance, half, 1) for half in np.split(halves, 2, axis=1))
    return (one * discounts).sum(axis=1) / ideal, (other * discounts).sum(axis=1) / ideal


def rejected(seeds: range, users: int, shift: float) -> float:
    """In what share of the seeds two halves, one of them better by a shift, differ at 5 %."""
    found = []
    for seed in seeds:
        one, other = half_lists(seed, users)
        found.append(difference(sample(one + shift, seed), sample(other, seed)).p < 0.05)
    return float(np.mean(found))


def test_two_halves_of_one_list_seldom_differ() -> None:
    assert 0.03 <= rejected(range(200), users=300, shift=0) <= 0.07


@pytest.mark.faults
def test_a_shift_of_a_hundredth_is_found_in_a_sample_of_14000() -> None:
    """Which is what nine cases of ten take where two halves of a list differ by .35 a user."""
    one, other = half_lists(0, 14_000)
    assert (one - other).std() == pytest.approx(0.35, abs=0.01)
    assert rejected(range(100), users=14_000, shift=0.01) >= 0.9


@pytest.mark.faults
@pytest.mark.parametrize("users", [30, 300])
def test_intervals_cover_the_truth(users: int) -> None:
    """500 truths: the means of lists of which six of ten have no hit."""
    covered = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        values = np.where(rng.random(users) < 0.6, 0, rng.beta(2, 3, users))
        low, high = sample(values, seed).interval() or (0.0, 0.0)
        covered.append(low <= 0.4 * 0.4 <= high)
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.faults
def test_intervals_over_items_cover_the_truth_where_those_over_users_do_not() -> None:
    """60 items that 500 users share, each with a quality of its own."""
    wide, narrow = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        quality = 0.5 + rng.normal(0, 0.1, 60)
        table = quality[None, :] + rng.normal(0, 0.05, (500, 1)) + rng.normal(0, 0.2, (500, 60))
        of_users, of_items = (
            sample(table.mean(axis=1), seed),
            sample(table.mean(axis=0), seed + 999),
        )
        for found, each in ((wide, Sample(of_users.users, of_items.users)), (narrow, of_users)):
            low, high = each.interval() or (0.0, 0.0)
            found.append(low <= 0.5 <= high)
    assert 0.93 <= np.mean(wide) <= 0.98
    assert np.mean(narrow) < 0.5
