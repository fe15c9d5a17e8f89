"""The model `content-user`: users' factors by what is known of them, for those who have rated
nothing.
"""

from functools import partial

from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_dense
from emberline.datasets.rows import only, through
from emberline.models import ALS, CONTENT_USER
from emberline.scoring.models.offers import Known, Pieces
from emberline.scoring.sources import Chosen, distinct
from emberline.scoring.topk import ROWS_PER_BLOCK, item_pieces


def pieces(known: Known) -> Pieces:
    """The predicted factors of users who have none, and the items' own."""
    users, items = ALS.lists
    (table,) = CONTENT_USER.new_users
    answered = distinct(known.tables[users], "user")
    unanswered = Chosen(known.tables[table], "user", answered, others=True)
    scatter = partial(scatter_dense, block_size=ROWS_PER_BLOCK)
    task = partial(through, tasks=(partial(only, value=CONTENT_USER.name), scatter))
    columns = ("user", "factors", "model")
    return Pieces(unanswered.map(columns, task, PIECES), item_pieces(known.listed(items)))
