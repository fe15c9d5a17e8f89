"""Deviations from a mean, predicted from neighbours, beside loops."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp

from emberline.cf import neighborhood
from emberline.cf.neighborhood import Neighborhood

RNG = np.random.default_rng(1)
RATED = RNG.random((30, 40)) < 0.3
RATED[5] = False  # has no ratings
DEVIATIONS = np.where(RATED & (RNG.random((30, 40)) < 0.9), RNG.normal(0, 1, (30, 40)), 0)  # some of those rated are 0
SIMILARITIES = (RNG.random((20, 40)) < 0.2) * RNG.random((20, 40))
SIMILARITIES[4] = 0  # has no neighbours


def known() -> Neighborhood:
    owners, ids = np.nonzero(RATED)
    deviations = sp.csr_matrix((DEVIATIONS[owners, ids].astype(np.float32), (owners, ids)), (30, 40))
    return Neighborhood(deviations, sp.csr_matrix(SIMILARITIES.astype(np.float32)))


def by_loop(owner: int, target: int) -> float:
    near = [(SIMILARITIES[target, other], DEVIATIONS[owner, other]) for other in range(40) if RATED[owner, other]]
    total = sum(similarity for similarity, _ in near)
    return sum(similarity * value for similarity, value in near) / total if total else float("nan")


PAIRS: npt.NDArray[np.int32] = np.array([(owner, target) for owner in range(30) for target in range(20)], np.int32)


@pytest.mark.parametrize("lookups", [1, 50, 1 << 22])
def test_predictions_are_means_weighted_by_similarity(monkeypatch: pytest.MonkeyPatch, lookups: int) -> None:
    monkeypatch.setattr(neighborhood, "_LOOKUPS", lookups)
    found = known().deviations(PAIRS[:, 0], PAIRS[:, 1])
    assert found == pytest.approx([by_loop(*pair) for pair in PAIRS.tolist()], abs=1e-6, nan_ok=True)
    assert np.isnan(found[PAIRS[:, 1] == 4]).all()
    assert np.isnan(found[PAIRS[:, 0] == 5]).all()
    assert not np.isnan(found).all()


def test_no_pairs_are_no_work() -> None:
    assert len(known().deviations(PAIRS[:0, 0], PAIRS[:0, 1])) == 0
