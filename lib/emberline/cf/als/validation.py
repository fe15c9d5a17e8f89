"""Ratings withheld from a fit of alternating least squares, to compare its iterations by.

Explicit feedback is measured by the RMSE of predictions. Implicit feedback by AUC: how often a
withheld item of a user scores above an item drawn from those that the user has not rated; of the
measures that can be taken on drawn items, it alone has the value that it has on all items (Krichene
and Rendle 2020).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from emberline.cf.entries import read
from emberline.numeric import hashing
from emberline.numeric.arrays import Bool, Int32

SAMPLE = pa.schema(
    [("user", pa.int32()), ("item", pa.int32()), ("value", pa.float32()), ("withheld", pa.bool_())]
)
_ONE_IN = 5  # of a chosen user's ratings is withheld


@dataclass(frozen=True)
class Withheld:
    """Which ratings are withheld, of about that share of the users: by hashes, so that it is
    the same ones at every scan.
    """

    share: float
    seed: int

    def of_users(self, users: Int32) -> Bool:
        """Whether anything of a user is withheld: (n,)."""
        return hashing.below(hashing.of_ids(users, self.seed), self.share)

    def has(self, users: Int32, items: Int32) -> Bool:
        """Whether these ratings are: (n,)."""
        chosen = self.of_users(users)
        bits = hashing.of_pairs(users[chosen], items[chosen], self.seed)
        chosen[chosen] = hashing.one_in(bits, _ONE_IN)
        return chosen


def sample(batches: Iterator[pa.RecordBatch], withheld: Withheld) -> Iterator[pa.RecordBatch]:
    """Columns user, item and value to SAMPLE: all ratings of the users of whom some are
    withheld.
    """
    for ratings in read(batches):
        of_these = ratings.take(withheld.of_users(ratings.rows))
        is_withheld = withheld.has(of_these.rows, of_these.columns)
        yield pa.record_batch(
            [of_these.rows, of_these.columns, of_these.values, is_withheld], schema=SAMPLE
        )
