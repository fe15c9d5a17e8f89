"""Full lists: the best of several models mixed, filled up with what is popular, a block of users at
a time.
"""

from collections.abc import Sequence
from functools import partial

from emberline.cf import listing
from emberline.cf.entries import PIECES
from emberline.cf.listing import COUNTS, LISTED, Popular
from emberline.cf.segments import Fillers
from emberline.flow.rows import Rows, Source
from emberline.scoring.topk import ROWS_PER_BLOCK, excluded_pieces


def popular(ratings: Source) -> Popular:
    """The rated items, the most rated first."""
    counts = ratings.map(("item",), listing.count_items, COUNTS).table()
    return Popular.of(counts["item"].to_numpy(), counts["ratings"].to_numpy())


def completed(
    lists: Sequence[Rows], how: listing.Mix, seen: Source, wanted: Rows, fillers: Fillers
) -> Rows:
    """LISTED: a list for each of those `wanted`, of `lists` (columns row, column, score and rank),
    as `how` says, and of what is popular and not `seen` (user, item) by them.
    """
    flow = wanted.flow
    numbered = [
        rows.map(partial(listing.as_pieces, number=number, block_size=ROWS_PER_BLOCK), PIECES)
        for number, rows in enumerate(lists)
    ]
    pieces = wanted.union(excluded_pieces(seen))
    for rows in numbered:
        pieces = pieces.union(rows)
    together = pieces.together(flow.parts, order=("block",))
    task = partial(listing.complete, how=how, fillers=flow.share(fillers))
    return together.map(task, LISTED)
