"""Which modalities count, and how much the regression is held back: by what they do to the ranking
of items that the regression has not seen.

A modality is what is known by one column, or by two at once; it comes with all of its kernels, of
one weight, the best of a few: so one that says little can add that without diluting the others.
They enter one by one, the best first, as long as ranking gets better by more than it does when the
modality is given to other items, each time with the best weight: `z` is the gain, less the mean
gain of such permutations, in their standard deviations, and must be at least 2.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
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
WEIGHTS = (
    1.0,
    3.0,
    0.3,
    0.1,
)  # of each kernel of a modality, beside those of the first one to enter
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
    with which weight, and in how many standard deviations of permutations.
    """

    modality: Modality
    weight: float
    gain: float
    z: float
    is_used: bool

    @classmethod
    def beside(
        cls, modality: Modality, weight: float, gain: float, permuted: Sequence[float]
    ) -> Self:
        """Beside the gains of permutations."""
        deviation = max(float(np.std(permuted, ddof=1)), 1e-6)
        z = (gain - float(np.mean(permuted))) / deviation
        return cls(modality, weight, gain, z, z >= _LEAST_Z)


@dataclass(frozen=True)
class Choice:
    """The kernels that count, and how much; the penalty; the area that they reach; and what each
    modality has proved.
    """

    weights: Mapping[str, float]
    penalty: float
    area: float
    proofs: tuple[Proof, ...] = field(default=())


@dataclass(frozen=True)
class _Entry:
    """A modality with its kernels, by their names and as their sum to the landmarks (n, m), and the
    area that is reached with it by the best of its weights.
    """

    modality: Modality
    names: Sequence[str]
    own: Float32
    area: float
    weight: float


@dataclass(frozen=True)
class _Chosen:
    """The modalities that have entered so far: the area that they reach (1/2 before any), the
    weights of their kernels, and the sum of these to the landmarks, times their weights, (n, m).
    """

    area: float
    weights: Mapping[str, float]
    kernel: Float32

    def mean(self) -> Float32:
        """(n, m)."""
        found: Float32 = self.kernel / np.float32(sum(self.weights.values()))
        return found

    def entered(self, entry: _Entry) -> Self:
        """With one modality more."""
        weights = {**self.weights, **dict.fromkeys(entry.names, entry.weight)}
        kernel = self.kernel + np.float32(entry.weight) * entry.own
        return type(self)(entry.area, weights, kernel)

    def with_best(self, sample: Sample, names: Sequence[str], own: Float32) -> tuple[float, float]:
        """The area with kernels more, whose sum is `own` (n, m), and their best weight; that of the
        first to enter makes no difference.
        """
        found = []
        for weight in WEIGHTS if self.weights else WEIGHTS[:1]:
            kernel = self.entered(_Entry((), names, own, 0.0, weight)).mean()
            found.append((area_of(sample, kernel), weight))
        return max(found, key=itemgetter(0))


def choose(sample: Sample, blocks: Sequence[Block], seed: int, threads: int = 1) -> Choice:
    """Modalities one by one, the best first; one that proves nothing is not tried again."""
    with ThreadPoolExecutor(threads) as pool:
        return _choose(sample, blocks, seed, pool)


def _choose(sample: Sample, blocks: Sequence[Block], seed: int, pool: ThreadPoolExecutor) -> Choice:
    left: dict[Modality, list[str]] = {}
    for block in blocks:
        left.setdefault(block.modality, []).append(block.name)
    chosen = _Chosen(0.5, {}, _sum(sample, ())[:, sample.landmarks])
    proofs: list[Proof] = []
    while left:
        entries = pool.map(partial(_entry, sample, chosen), left, left.values())
        for entry in sorted(entries, key=lambda each: -each.area):
            del left[entry.modality]
            proofs.append(_proof(sample, chosen, entry, seed, pool))
            if proofs[-1].is_used:
                chosen = chosen.entered(entry)
                break
    if not chosen.weights:
        return Choice({}, _FIRST_PENALTY, chosen.area, tuple(proofs))
    areas = pool.map(partial(area_of, sample, chosen.mean()), PENALTIES)
    area, penalty = max(zip(areas, PENALTIES, strict=True), key=itemgetter(0))
    return Choice(chosen.weights, penalty, area, tuple(proofs))


def _entry(sample: Sample, chosen: _Chosen, modality: Modality, names: Sequence[str]) -> _Entry:
    own = _sum(sample, names)[:, sample.landmarks]
    return _Entry(modality, names, own, *chosen.with_best(sample, names, own))


def _proof(
    sample: Sample, chosen: _Chosen, entry: _Entry, seed: int, pool: ThreadPoolExecutor
) -> Proof:
    """How much better the modality is than itself, given to other items."""
    gain = entry.area - chosen.area
    if gain <= 0:
        return Proof(entry.modality, entry.weight, gain, 0.0, False)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(sample.factors)) for _ in range(PERMUTATIONS)]
    whole = _sum(sample, entry.names)

    def permuted(order: Int64) -> float:
        own = whole[np.ix_(order, order[sample.landmarks])]
        return chosen.with_best(sample, entry.names, own)[0] - chosen.area

    return Proof.beside(entry.modality, entry.weight, gain, list(pool.map(permuted, orders)))


def _sum(sample: Sample, names: Sequence[str]) -> Float32:
    size = len(sample.factors)
    found: Float32 = np.zeros((size, size), np.float32)
    for name in names:
        found += sample.kernels[name]
    return found


def area_of(sample: Sample, kernel: Float32, penalty: float = _FIRST_PENALTY) -> float:
    """The mean area under the ROC curve of users among the items of a fold that is left out, over
    the folds; kernel: (n, m), to the landmarks.
    """
    root = Root.of(kernel[sample.landmarks])
    features = root.features(kernel)
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
