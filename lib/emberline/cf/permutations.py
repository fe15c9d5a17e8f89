"""Whether a ranking of items can be chance: the area under the ROC curve beside what it is when the
items' scores are dealt out to other items.

With n items, of which p are relevant to a user u, and r(u, j) the place of item j by u's scores,
the worst first, the user's area is

    sum over relevant i of r(u, i) / (p (n - p))  -  (p + 1) / (2 (n - p))

so that the mean over users, when item i has the scores of item s(i), is a constant plus the sum
over i of M(i, s(i)), where M is of r and of who likes what. Over all permutations s its mean is
1/2, and its variance is sum d(i, j)^2 / (n - 1), d being M less the means of its rows and of its
columns plus the mean of all (Hoeffding 1951, theorem 2): no permutation has to be drawn.
"""

import numpy as np
from scipy.stats import rankdata

from emberline.numeric.arrays import Bool, Float32, Float64


def item_z(scores: Float32, relevant: Bool) -> float:
    """By how many standard deviations of item permutations the area is above 1/2; scores and what
    is relevant: (users, items). NaN where that cannot be said.
    """
    counts = relevant.sum(axis=1)
    counted = (counts > 0) & (counts < relevant.shape[1])
    scores, relevant, counts = scores[counted], relevant[counted], counts[counted]
    if not len(counts):
        return float("nan")
    items = scores.shape[1]
    places = rankdata(scores, axis=1)
    shares = 1 / (counts * (items - counts) * len(counts))
    matrix = (relevant * shares[:, None]).T @ places
    area = float(np.trace(matrix)) - float(np.mean((counts + 1) / (2 * (items - counts))))
    deviation = np.sqrt((_centred(matrix) ** 2).sum() / (items - 1))
    # the same scores for all items: what is dealt out does not matter
    return float((area - 0.5) / deviation) if deviation > 1e-9 else float("nan")


def _centred(matrix: Float64) -> Float64:
    rows, columns = matrix.mean(axis=1, keepdims=True), matrix.mean(axis=0, keepdims=True)
    found: Float64 = matrix - rows - columns + matrix.mean()
    return found
