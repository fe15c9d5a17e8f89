"""Kernels between rows and landmarks: how like each other they are, by one thing that is known of
both, or by two at once.

With x and y counts of tokens, or these times their idf,

    cosine      x y / (|x| |y| + d)         d: smoothing, by which few tokens in common say less
    Gaussian    exp(-(a - b)^2 / (2 w^2))   of standardised numbers, w: the width
    same        1 where both have the same tokens
    product     of two kernels

after the smoothed cosines of MARec (Monteil et al., RecSys 2024, section 4). What is not known of a
row is like nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy.sparse as sp

from emberline.cf.content.features import Features, Statistics, column_of
from emberline.numeric.arrays import Float32, Float64

_WIDE, _NARROW = 0.35, 0.1  # widths, in standard deviations
Kernel = Callable[[Features, Features, Statistics], Float32]


@dataclass(frozen=True)
class Block:
    """A kernel by its name, made of one column of what is known, or of two: `modality` is their
    names.
    """

    name: str
    modality: tuple[str, ...]


def blocks_of(known: Statistics) -> list[Block]:
    """All kernels that there are of what is known, single ones first."""
    found = []
    lists = [view for view in known.frequencies if view in known.columns.words]
    for view in known.frequencies:
        found.append(Block(view, (column_of(view),)))
        if view in lists:
            found.append(Block(f"{view} by idf", (view,)))
    for name in known.numbers:
        found += [Block(f"{name} near", (name,)), Block(f"{name} very near", (name,))]
    for view, name in product(lists, known.numbers):
        pairs = ((view, "near"), (f"{view} by idf", "very near"), (f"same {view}", "near"))
        found += [Block(f"{left} x {name} {right}", (view, name)) for left, right in pairs]
    return found


def kernel(block: str, left: Features, right: Features, known: Statistics) -> Float32:
    """(n, m) of rows n and m."""
    first, times, second = block.partition(" x ")
    found = _single(first, left, right, known)
    return found * _single(second, left, right, known) if times else found


def mean_kernel(
    weights: Mapping[str, float], left: Features, right: Features, known: Statistics
) -> Float32:
    """(n, m): the weighted mean of some blocks."""
    return _weighted(weights, (kernel(block, left, right, known) for block in weights))


def mean_of(weights: Mapping[str, float], kernels: Mapping[str, Float32]) -> Float32:
    """(n, m): the weighted mean of some of the kernels (n, m)."""
    return _weighted(weights, (kernels[block] for block in weights))


def _weighted(weights: Mapping[str, float], kernels: Iterable[Float32]) -> Float32:
    total = sum(weights.values())
    parts = (
        np.float32(weight / total) * own
        for weight, own in zip(weights.values(), kernels, strict=True)
    )
    found = next(parts)
    for part in parts:
        found += part
    return found


def _single(name: str, left: Features, right: Features, known: Statistics) -> Float32:
    for ending, width in ((" very near", _NARROW), (" near", _WIDE)):
        number = name.removesuffix(ending)
        if number != name and number in known.numbers:
            return _gaussian(left.numbers[number], right.numbers[number], width)
    if name.startswith("same "):
        view = name.removeprefix("same ")
        return _same(left.tokens[view], right.tokens[view])
    if name in known.columns.words:
        return _cosine(left.tokens[name], right.tokens[name], 0.5)
    view = name.removesuffix(" by idf")
    idf = known.idf(view)
    smoothing = 1.0 if view in known.columns.words else 0.0
    return _cosine(_scaled(left.tokens[view], idf), _scaled(right.tokens[view], idf), smoothing)


def _scaled(counts: sp.csr_matrix, idf: Float32) -> sp.csr_matrix:
    return sp.csr_matrix(
        (counts.data * idf[counts.indices], counts.indices, counts.indptr), counts.shape
    )


def _cosine(left: sp.csr_matrix, right: sp.csr_matrix, smoothing: float) -> Float32:
    lengths = [np.sqrt(matrix.multiply(matrix).sum(axis=1)).A1 for matrix in (left, right)]
    products: Float32 = (left @ right.T).toarray()
    both = lengths[0][:, None] * lengths[1] + smoothing
    found: Float32 = np.where(both > 0, products / np.maximum(both, 1e-12), 0).astype(np.float32)
    return found


def _gaussian(left: Float64, right: Float64, width: float) -> Float32:
    found = np.exp(-((left[:, None] - right) ** 2) / (2 * width**2))
    known: Float32 = np.nan_to_num(found, nan=0.0).astype(np.float32)
    return known


def _same(left: sp.csr_matrix, right: sp.csr_matrix) -> Float32:
    """Whether both have the same tokens, if they have any."""
    sizes = [np.diff(matrix.indptr) for matrix in (left, right)]
    common = (left.sign() @ right.sign().T).toarray()
    is_same = (common == sizes[0][:, None]) & (common == sizes[1]) & (common > 0)
    found: Float32 = is_same.astype(np.float32)
    return found
