"""People who were forgotten: their rows are known by digests, since their ids are known to nobody.

A row of an id is left out up to the moment at which its owner was forgotten, and where it has no
time; who comes back later is somebody new.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning.pseudonyms import of_distinct
from emberline.numeric.arrays import Bool, Int64

FORGOTTEN = "was forgotten"
_BYTES = 16
_NEVER = np.iinfo(np.int64).min  # before every time
_BETWEEN = r"""[\s,;|"'{}\[\]:()<>=&/]+"""  # what stands between the words of any raw row


def digest(salt: bytes, text: str) -> str:
    """What a root remembers of an id, as its tables had it: hexadecimal, and with its own salt."""
    return hmac.digest(salt, b"forgotten\0" + text.encode(), "sha256")[:_BYTES].hex()


@dataclass(frozen=True)
class Forgotten:
    """Of each root that counts, its salt, and until when, in microseconds, rows of an id are left
    out, by its digest.
    """

    lists: Sequence[tuple[bytes, Mapping[str, int]]] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return any(until for _, until in self.lists)

    def end(self, text: str) -> int:
        """Until when rows of an id are left out; before every time where they are not."""
        return max(until.get(digest(salt, text), _NEVER) for salt, until in self.lists)

    def ends(self, ids: pa.Array) -> Int64:
        """Until when rows of each id (n,) are left out; before every time where they are not."""
        found = of_distinct(ids, self.end, pa.int64())
        ends: Int64 = found.fill_null(_NEVER).to_numpy()
        return ends

    def hides(self, ids: pa.Array, moments: pa.Array | None) -> Bool:
        """Whether each row (n,) of an id and maybe a time is left out."""
        ends = self.ends(ids)
        if moments is None:
            return ends > _NEVER
        times = moments.cast(pa.int64()).fill_null(_NEVER).to_numpy()
        hidden: Bool = (ends > _NEVER) & (times <= ends)
        return hidden

    def is_spoken_of(self, raw: pa.Array, clean: Any) -> Bool:
        """Whether a word of each text (n,) is the id of somebody forgotten, whatever its place;
        `clean` makes the ids of words (m,) that tables would have.
        """
        words = pc.split_pattern_regex(pc.fill_null(raw, ""), _BETWEEN)
        rows = pc.list_parent_indices(words).to_numpy()
        ends = self.ends(clean(pc.list_flatten(words)))
        found = np.zeros(len(raw), bool)
        found[rows[ends > _NEVER]] = True
        return found
