"""Deviations predicted from the nearest of what the owner has rated, beside loops over dense
arrays.
"""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp

from emberline.cf.cosine import neighborhood
from emberline.cf.cosine.neighborhood import Neighborhood, Rule, weighted_means
from emberline.cf.cosine.similarity import Damping
from emberline.sections.cosine import NeighborRatingsConfig

RNG = np.random.default_rng(1)
USERS, ITEMS = 30, 20
RATED = RNG.random((USERS, ITEMS)) < 0.35
RATED[5] = False  # has no ratings
RATED[:, 4] = False  # nobody has rated it
DEVIATIONS = np.where(RATED, RNG.normal(0, 1, RATED.shape), 0).astype(np.float32)
# as near to all others as its twin is, where the twin's raters are its own
DEVIATIONS[:, 7] = DEVIATIONS[:, 6]
RATED[:, 7] = RATED[:, 6]
KNOWN = np.flatnonzero(RATED.any(axis=0)).astype(np.int32)
PAIRS: npt.NDArray[np.int32] = np.array(
    [(u, i) for u in range(USERS + 2) for i in range(ITEMS + 2)], np.int32
)


def known() -> Neighborhood:
    columns = DEVIATIONS[:, KNOWN].astype(np.float64) / np.linalg.norm(
        DEVIATIONS[:, KNOWN].astype(np.float64), axis=0
    )
    owners, items = np.nonzero(RATED[:, KNOWN])
    rated = sp.csr_matrix(
        (DEVIATIONS[:, KNOWN][owners, items], (owners, items)), (USERS, len(KNOWN))
    )
    return Neighborhood(sp.csr_matrix(columns.T), sp.csr_matrix(columns), rated, KNOWN, KNOWN)


def by_loop(user: int, item: int, rule: Rule) -> float:
    """The rule of LensKit's ItemKNN and Surprise's KNNBaseline: the k nearest among what the
    user rated, of positive cosine.
    """
    if user >= USERS or item not in KNOWN:
        return float("nan")
    near = []
    for other in np.flatnonzero(RATED[user]):
        x, y = DEVIATIONS[:, item].astype(float), DEVIATIONS[:, other].astype(float)
        support = (RATED[:, item] & RATED[:, other]).sum()
        similarity = (
            x
            @ y
            / np.linalg.norm(x)
            / np.linalg.norm(y)
            * support
            / max(support + rule.damping.shrinkage, 1e-9)
        )
        if other != item and similarity > 1e-7 and support >= rule.damping.min_support:
            near.append((-np.float32(similarity), other, DEVIATIONS[user, other]))
    best = sorted(near)[: rule.top_k]
    total = -sum(float(similarity) for similarity, _, _ in best)
    return (
        sum(-float(s) * float(e) for s, _, e in best) / (total + rule.prior)
        if best
        else float("nan")
    )


@pytest.mark.parametrize("memory", [1, 60, 1 << 20])
@pytest.mark.parametrize(
    "rule",
    [
        Rule(3, Damping(), 0.0),
        Rule(1, Damping(), 0.0),
        Rule(100, Damping(), 0.0),
        Rule(3, Damping(5.0, 3), 0.0),
        Rule(4, Damping(20.0), 0.2),
    ],
    ids=["lenskit", "nearest", "all", "damped", "prior"],
)
def test_a_pair_is_predicted_by_the_nearest_of_what_its_owner_rated(
    monkeypatch: pytest.MonkeyPatch, rule: Rule, memory: int
) -> None:
    monkeypatch.setattr(neighborhood, "_ENTRIES", memory)
    monkeypatch.setattr(neighborhood, "_LOOKUPS", memory)
    found = weighted_means(known().nearest(PAIRS[:, 0], PAIRS[:, 1], rule), len(PAIRS), rule.prior)
    assert found == pytest.approx(
        [by_loop(*pair, rule) for pair in PAIRS.tolist()], abs=1e-5, nan_ok=True
    )
    for unanswered in (
        PAIRS[:, 0] == 5,
        PAIRS[:, 0] >= USERS,
        PAIRS[:, 1] == 4,
        PAIRS[:, 1] >= ITEMS,
    ):
        assert np.isnan(found[unanswered]).all()
    assert np.isnan(found).mean() < 0.5


def test_no_pairs_are_no_work() -> None:
    assert len(known().nearest(PAIRS[:0, 0], PAIRS[:0, 1], Rule(3, Damping(), 0.0)).rows) == 0


def test_by_the_defaults_neighbours_predict_movielens_better_than_biases(shared_data: Path) -> None:
    """Clipped; where there is no neighbour, the biases are it."""
    with (shared_data / "movielens-latest-small" / "ratings.csv").open(newline="") as file:
        rows = np.array(
            [
                [float(row[name]) for name in ("userId", "movieId", "rating")]
                for row in csv.DictReader(file)
            ]
        )
    users, items = (np.unique(rows[:, side], return_inverse=True)[1] for side in (0, 1))
    held = np.random.default_rng(7).random(len(rows)) < 0.2
    config = NeighborRatingsConfig()
    expected = _biases(users, items, rows[:, 2], ~held, config.damping)
    left = (rows[:, 2] - expected)[~held]
    rule = Rule(config.top_k, Damping(config.shrinkage, config.min_support), config.prior)
    by_items = _deviations(users, items, left, held, rule)
    by_users = _deviations(items, users, left, held, rule)
    truth, biases = rows[held, 2], expected[held]
    errors = [
        np.sqrt(np.mean((np.clip(biases + more, 0.5, 5) - truth) ** 2))
        for more in (0, by_items, by_users)
    ]
    assert errors[0] < 0.89
    assert errors[1] < 0.97 * errors[0]
    assert errors[2] < 0.985 * errors[0]


def _biases(
    users: np.ndarray, items: np.ndarray, values: np.ndarray, known: np.ndarray, damping: float
) -> npt.NDArray[np.float64]:
    left, mean = values - values[known].mean(), values[known].mean()
    expected = np.full(len(values), mean)
    for ids in (items, users):
        sums, counts = (
            np.bincount(ids[known], weights, ids.max() + 1) for weights in (left[known], None)
        )
        bias = (sums / (counts + damping))[ids]
        left, expected = left - bias, expected + bias
    return expected


def _deviations(
    owners: np.ndarray, targets: np.ndarray, left: np.ndarray, held: np.ndarray, rule: Rule
) -> npt.NDArray[np.float32]:
    """Of the pairs held, from the others; 0 where there is none."""
    rated = sp.csr_matrix(
        (left.astype(np.float32), (owners[~held], targets[~held])),
        (owners.max() + 1, targets.max() + 1),
    )
    lengths = np.sqrt(np.asarray(rated.astype(float).power(2).sum(axis=0)).ravel())
    others = sp.csr_matrix(
        rated.astype(float) @ sp.diags_array(1 / np.where(lengths > 0, lengths, 1))
    )
    ids = np.arange(rated.shape[1], dtype=np.int32)
    known = Neighborhood(sp.csr_matrix(others.T), others, rated, ids, ids)
    found = known.nearest(owners[held].astype(np.int32), targets[held].astype(np.int32), rule)
    return np.nan_to_num(weighted_means(found, int(held.sum()), rule.prior))
