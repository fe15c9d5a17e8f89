"""Which modalities count, and how much the regression is held back: by what they do to the ranking
of items that the regression has not seen.

A modality is what is known by one column, or by two at once; it comes with all of its kernels, of
equal weight. They enter one by one, the best first, as long as ranking gets better by more than it
does when the modality is given to other items: `z` is the gain, less the mean gain of such
permutations, in their standard deviations, and must be at least 2.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import numpy as np

from emberline.cf.blocks import Block as Rows
from emberline.cf.content import regression
from emberline.cf.content.kernels import Block
from emberline.cf.content.regression import Root
from emberline.cf.ranks import Candidates, ranks_of, terms
from emberline.cf.ridge import Moments
from emberline.numeric.arrays import Float32, Float64, Int64

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
_FIRST_PENALTY = 1.0
_FOLDS = 4
PERMUTATIONS = 20
_LEAST_Z = 2.0
Modality = tuple[str, ...]


@dataclass(frozen=True)
class Judges:
    """Users' factors, and the items of a sample that each liked, as rows of `users` and of the
    sample: (p,).
    """

    users: Rows
    liked_by: Int64
    liked: Int64

    def area(self, chosen: Int64, predicted: Float32) -> float:
        """The mean area under the ROC curve of users among the chosen items of the sample (m,), by
        the factors that are predicted for these (m, rank); 1/2 where nobody likes any of them.
        """
        is_in = np.isin(self.liked, chosen)
        if not is_in.any():
            return 0.5
        places = np.searchsorted(chosen, self.liked[is_in])
        candidates = Candidates(chosen.astype(np.int32), predicted)
        ranked = ranks_of(self.users, candidates, self.liked_by[is_in], places, seed=1)
        users, _, added = terms(ranked, len(chosen), ())
        return float(np.bincount(users, added[:, 0]).mean())


@dataclass(frozen=True)
class Sample:
    """Items (n) that modalities are chosen by: their kernels (n, n) by block, their factors (n,
    rank) and weights (n,); which are landmarks (m,); and who judges them.
    """

    kernels: Mapping[str, Float32]
    factors: Float32
    weights: Float64
    landmarks: Int64
    judges: Judges

    @property
    def folds(self) -> Int64:
        """The fold of each item (n,)."""
        return np.arange(len(self.factors)) % _FOLDS


@dataclass(frozen=True)
class Proof:
    """What a modality has gained in the area under the ROC curve when it entered, or failed to,
    and in how many standard deviations of permutations.
    """

    modality: Modality
    gain: float
    z: float
    is_used: bool

    @classmethod
    def beside(cls, modality: Modality, gain: float, permuted: Sequence[float]) -> Self:
        """Beside the gains of permutations."""
        deviation = max(float(np.std(permuted, ddof=1)), 1e-6)
        z = (gain - float(np.mean(permuted))) / deviation
        return cls(modality, gain, z, z >= _LEAST_Z)


@dataclass(frozen=True)
class Choice:
    """The blocks that count, with equal weights; the penalty; the area that they reach; and what
    each modality has proved.
    """

    blocks: tuple[str, ...]
    penalty: float
    area: float
    proofs: tuple[Proof, ...] = field(default=())


def choose(sample: Sample, blocks: Sequence[Block], seed: int, threads: int = 1) -> Choice:
    """Modalities one by one, the best first; one that proves nothing is not tried again."""
    with ThreadPoolExecutor(threads) as pool:
        return _choose(sample, blocks, seed, pool)


def _choose(sample: Sample, blocks: Sequence[Block], seed: int, pool: ThreadPoolExecutor) -> Choice:
    left: dict[Modality, list[str]] = {}
    for block in blocks:
        left.setdefault(block.modality, []).append(block.name)
    chosen: list[str] = []
    proofs: list[Proof] = []
    area = 0.5
    while left:
        means = [_mean(sample, [*chosen, *names]) for names in left.values()]
        areas = dict(zip(left, pool.map(partial(area_of, sample), means), strict=True))
        for modality in sorted(left, key=lambda each: -areas[each]):
            names, gain = left.pop(modality), areas[modality] - area
            proof = _proof(sample, modality, names, chosen, gain, area, seed, pool)
            proofs.append(proof)
            if proof.is_used:
                chosen, area = [*chosen, *names], areas[modality]
                break
    if not chosen:
        return Choice((), _FIRST_PENALTY, area, tuple(proofs))
    kernel = _mean(sample, chosen)
    tried = pool.map(partial(area_of, sample, kernel), PENALTIES)
    found = dict(zip(PENALTIES, tried, strict=True))
    penalty = max(found, key=lambda each: found[each])
    return Choice(tuple(chosen), penalty, found[penalty], tuple(proofs))


def _proof(
    sample: Sample,
    modality: Modality,
    names: list[str],
    chosen: list[str],
    gain: float,
    before: float,
    seed: int,
    pool: ThreadPoolExecutor,
) -> Proof:
    """How much better the modality is than itself, given to other items."""
    if gain <= 0:
        return Proof(modality, gain, 0.0, False)
    rng = np.random.default_rng(seed)
    others, own = (_sum(sample, some) for some in (chosen, names))
    count = np.float32(len(chosen) + len(names))
    orders = [rng.permutation(len(sample.factors)) for _ in range(PERMUTATIONS)]

    def permuted(order: Int64) -> float:
        return area_of(sample, (others + own[np.ix_(order, order)]) / count) - before

    gains = list(pool.map(permuted, orders))
    return Proof.beside(modality, gain, gains)


def _mean(sample: Sample, names: Sequence[str]) -> Float32:
    return _sum(sample, names) / np.float32(len(names))


def _sum(sample: Sample, names: Sequence[str]) -> Float32:
    size = len(sample.factors)
    found: Float32 = np.zeros((size, size), np.float32)
    for name in names:
        found += sample.kernels[name]
    return found


def area_of(sample: Sample, kernel: Float32, penalty: float = _FIRST_PENALTY) -> float:
    """The mean area under the ROC curve of users among the items of a fold that is left out, over
    the folds; kernel: (n, n).
    """
    root = Root.of(kernel[np.ix_(sample.landmarks, sample.landmarks)])
    features = root.features(kernel[:, sample.landmarks])
    moments = [
        Moments.of(features[chosen], sample.factors[chosen], sample.weights[chosen])
        for chosen in (sample.folds == fold for fold in range(_FOLDS))
    ]
    areas = []
    for fold in range(_FOLDS):
        others = [each for number, each in enumerate(moments) if number != fold]
        whole = others[0]
        for each in others[1:]:
            whole = whole.merge(each)
        chosen = np.flatnonzero(sample.folds == fold)
        predicted = regression.predict(features[chosen], regression.solve(whole, penalty))
        areas.append(sample.judges.area(chosen, predicted))
    return float(np.mean(areas))
