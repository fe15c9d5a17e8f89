"""What alternating least squares makes small.

Letters as in Hu, Koren and Volinsky (2008), seen from a row, which is a user or an item: x are its
factors, Y the factors of the other side, w the weight of what was not observed. Over all pairs of
rows x and y, the sum that is made small is

    sum_observed e (p - x.y)^2 + w sum_unobserved (x.y)^2 + sum_x reg_x |x|^2 + sum_y reg_y |y|^2

    feedback                e                       p               w                  count in reg
    explicit                1                       value           0                  ratings
    implicit                1 + alpha |value|       1 if value > 0  1                  positive ones
    "log"                   1 + alpha log(1 + |value|)
    "exp"                   1 + alpha exp(z)
    with unobserved_weight  1                       else 0          unobserved_weight  ratings + w n

"log" and "exp" are confidences of implicit feedback: the first is equation 6 of Hu et al., the
second is for ratings, z being (value - mean) / deviation, within 4 of 0. Counts are of a row's
ratings, n is how many rows of the other side are rated, and

    reg = reg_param * count ** reg_exponent

The line explicit is ALS-WR (Zhou et al. 2008), implicit equation 3 of Hu et al., both regularised
as MLlib does at exponent 1. The last is iALS of Rendle et al. (2021), whose second sum goes over
all pairs, the observed ones included. With biases, which only explicit feedback has, a row's last
factor is its bias and x.y means `x'.y' + bias_x + bias_y + mean`.

A row of which something is known besides its ratings may be held to a mean mu, by one more term,
prior |x - mu|^2. With x = mu + z the sum is that of the preferences p - y.mu, and -y.mu where
nothing was observed, with reg |mu + z|^2 + prior |z|^2: quadratic in z with the same matrix A
(`half_step.py`), so that (A + prior I) z = b - A mu, which is

    (A + prior I) x = b + prior mu

in every line of the table, since they differ in A and b only. Of few ratings A and b are small, and
x is near mu; of many, x is near the row's own answer.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from emberline.cf.blocks import Block
from emberline.numeric.arrays import Float32

# standard deviations from the mean: a value beyond is no rating of a scale
_FARTHEST = np.float32(4)


@dataclass(frozen=True)
class Objective:
    """What is made small, as in the table above.

    `mean` and `deviation` are those of all values: the mean is taken off explicit ones where there
    are biases, and both say what a rating is worth to the confidence "exp".
    """

    implicit: bool
    reg_param: float
    reg_exponent: float = 1.0
    alpha: float = 1.0
    confidence: Literal["linear", "log", "exp"] = "linear"
    unobserved_weight: float | None = None
    biases: bool = False
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def w(self) -> float:
        """The weight of a pair that was not observed."""
        if not self.implicit:
            return 0.0
        return 1.0 if self.unobserved_weight is None else self.unobserved_weight

    @property
    def replaces(self) -> bool:
        """Whether an observed pair's term takes the place of its unobserved one (Hu et al.), or
        is added (Rendle et al.).
        """
        return self.unobserved_weight is None

    def width(self, rank: int) -> int:
        """How many numbers a row's factors are."""
        return rank + self.biases

    def terms(self, values: Float32) -> tuple[Float32, Float32]:
        """The weights e and preferences p of observed values, in their shape."""
        if not self.implicit:
            return np.ones_like(values), values - np.float32(self.mean if self.biases else 0)
        preferences = (values > 0).astype(np.float32)
        if self.unobserved_weight is not None:
            return np.ones_like(values), preferences
        return 1 + np.float32(self.alpha) * self._strengths(values), preferences

    def _strengths(self, values: Float32) -> Float32:
        if self.confidence == "exp":
            above = (values - np.float32(self.mean)) / np.float32(self.deviation)
            rising: Float32 = np.exp(np.clip(above, -_FARTHEST, _FARTHEST))
            return rising
        return np.log1p(np.abs(values)) if self.confidence == "log" else np.abs(values)

    def penalties(self, block: Block, num_others: int) -> Float32:
        """reg of each row (m,) of a sparse block, when the other side has `num_others` rated
        rows.
        """
        counts = np.diff(block.indptr).astype(np.float64)
        if self.unobserved_weight is not None:
            counts += self.w * num_others
        elif self.implicit:
            counts = np.add.reduceat(block.values > 0, block.indptr[:-1]).astype(np.float64)
        return (self.reg_param * counts**self.reg_exponent).astype(np.float32)


@dataclass(frozen=True)
class Loss:
    """The objective's parts over some rows: `squares` is the sum of (x.y)^2 over the observed
    pairs, `everywhere` over all.
    """

    observed: float
    squares: float
    everywhere: float
    penalty: float

    @classmethod
    def empty(cls) -> Self:
        return cls(0.0, 0.0, 0.0, 0.0)

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.observed + other.observed,
            self.squares + other.squares,
            self.everywhere + other.everywhere,
            self.penalty + other.penalty,
        )

    def unobserved(self, objective: Objective) -> float:
        """The second sum."""
        return objective.w * (self.everywhere - (self.squares if objective.replaces else 0.0))
