"""Lists of the best items for every user: made of scores, mixed, and filled up.

For a user's row of factors or history `left` and the items' rows `right`, every model's score is
`left @ right.T`: see `scoring/models/`.
"""

from functools import partial

import pyarrow as pa

from emberline.cf import scoring
from emberline.cf.listing import Mix, Popular
from emberline.cf.scoring import BEST
from emberline.flow.rows import Rows
from emberline.models import MODELS, POPULAR, POPULAR_IN_SEGMENT, Model, answering
from emberline.scoring import completion
from emberline.scoring.models.offers import Known, pieces_of
from emberline.scoring.segments import fillers
from emberline.scoring.topk import excluded_pieces, top_products
from emberline.sections.recommend import RecommendConfig


def full_lists(known: Known, config: RecommendConfig) -> Rows:
    """Columns user, rank, item, score and model: a list for each of those `known.wanted`, without
    what is known of them already; by the configured model and those that rank new items, or rank
    for new users, filled up with what is popular, with all or in the user's segment.
    """
    new = [model.name for model in answering("new_items", known.tables)]
    # of those after the first, which answer for what it knows nothing of, none is set aside
    shares = (
        {config.model: 0.0} | dict.fromkeys(new, 0.0) | dict.fromkeys(new[:1], config.cold_share)
    )
    # who has rated nothing has no list by any of these
    new_users = answering("new_users", known.tables)
    shares |= {model.name: 0.0 for model in new_users}
    mix = Mix.of(config.top_k, shares, POPULAR.name, POPULAR_IN_SEGMENT.name)
    lists = [best_by(MODELS[name], known, config.top_k) for name in shares]
    seen = known.tables["ratings"]
    return completion.completed(lists, mix, seen, known.wanted(), fillers(known, config))


def best_by(model: Model, known: Known, top_k: int) -> Rows:
    """Columns row, column, score and rank: one model's lists of items that are not among the user's
    ratings.
    """
    pieces = pieces_of(model, known)
    left = pieces.users.union(excluded_pieces(known.tables["ratings"])).union(known.wanted())
    best = top_products(left, pieces.items, top_k, only_wanted=True)
    return best.map(partial(scoring.add, added=pieces.added), BEST) if pieces.added else best


def most_popular(items: Popular, top_k: int) -> pa.Table:
    """Columns rank, item and score: what somebody gets of whom nothing is known."""
    best = items.items[:top_k]
    ranks = pa.array(range(1, len(best) + 1), pa.int32())
    return pa.table([ranks, best, items.counts[:top_k]], names=["rank", "item", "score"])
