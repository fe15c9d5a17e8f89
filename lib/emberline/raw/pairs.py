"""Events of one user and one item brought together."""

from functools import partial

import pyarrow.compute as pc

from emberline.cleaning import pairs
from emberline.cleaning.pairs import BY_USER, MERGED
from emberline.errors import DataError
from emberline.flow.rows import Rows
from emberline.raw import ids


def merge(cleaned: Rows, items: Rows, keep: str) -> Rows:
    """MERGED: the good ones of cleaned events, those of each pair of user and item merged, all of a
    user in one part. Codes are those of `ids.coded_ids`, which has the `items` (CODED).
    """
    parts = cleaned.flow.parts
    lookup = cleaned.flow.share(ids.lookup_of(items))
    task = partial(pairs.by_user, items=lookup, blocks=parts)
    by_user = cleaned.map(task, BY_USER).together(parts)
    return by_user.map(partial(pairs.merge, keep=keep, blocks=parts), MERGED)


def check_sets(merged: Rows, remedy: str) -> None:
    """Raises DataError where rows of one user and item are of two sets."""
    found = (
        merged.select({"conflict": "conflict"})
        .map(pairs.conflicts, pairs.CONFLICTS)
        .table()["conflict"]
    )
    if len(found):
        raise DataError(
            f"{pc.min(found).as_py()}; what models are measured by must not be what they were made"
            f" from: {remedy}"
        )
