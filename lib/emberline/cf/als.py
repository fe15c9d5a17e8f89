"""Alternating least squares, one row at a time: the factors of an item from the factors of those who rated it.

Letters as in Hu, Koren and Volinsky (2008), seen from an item: Y are the users' factors, c their confidence, p their preference.
"""

import numpy as np
import numpy.typing as npt

from emberline.cf.blocks import Float32

Float64 = npt.NDArray[np.float64]


def gramian(factors: Float32) -> Float64:
    """`Y.T @ Y`: (rank, rank) of factors (n, rank)."""
    exact = factors.astype(np.float64)
    product: Float64 = exact.T @ exact
    return product


def fold_in_implicit(raters: Float32, values: Float32, gramian: Float64, alpha: float, reg_param: float) -> Float64:
    """(rank,): the item's factors from its raters' factors (n, rank) and values (n,), all other users having preference 0.

    `(Y.T Y + Y.T (C - I) Y + reg_param n I) x = Y.T C p` with `c = 1 + alpha * value`: equation 4 of Hu et al., the
    regularisation multiplied by the number of ratings, as MLlib does.
    """
    extra = alpha * np.abs(values.astype(np.float64))
    positive = (values > 0).astype(np.float64)
    y = raters.astype(np.float64)
    a: Float64 = gramian + (y.T * extra) @ y + reg_param * positive.sum() * np.eye(len(gramian))
    return np.linalg.solve(a, y.T @ ((1 + extra) * positive)).astype(np.float64)


def fold_in_explicit(raters: Float32, values: Float32, reg_param: float) -> Float64:
    """(rank,): `(Y.T Y + reg_param n I) x = Y.T r` over the item's raters alone (Zhou et al. 2008, ALS-WR)."""
    y = raters.astype(np.float64)
    a = y.T @ y + reg_param * len(y) * np.eye(y.shape[1])
    return np.linalg.solve(a, y.T @ values.astype(np.float64)).astype(np.float64)
