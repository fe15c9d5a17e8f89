"""The model `cnn`: factors that a network predicts from pictures, for items that have none of their
own.
"""

from functools import partial

from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_dense
from emberline.datasets.rows import only, through
from emberline.models import ALS, CNN
from emberline.scoring.models.offers import Known, Pieces
from emberline.scoring.sources import Chosen, distinct
from emberline.scoring.topk import COLUMNS_PER_BLOCK, user_pieces


def pieces(known: Known) -> Pieces:
    """Users' factors, and the predicted ones of items without ratings."""
    users, items = ALS.lists
    (predicted,) = CNN.new_items
    rated = distinct(known.tables[items], "item")
    unrated = Chosen(known.listed(predicted), "item", rated, others=True)
    scatter = partial(scatter_dense, block_size=COLUMNS_PER_BLOCK)
    task = partial(through, tasks=(partial(only, value=CNN.name), scatter))
    return (
        user_pieces(known.tables[users]),
        unrated.map(("item", "factors", "model"), task, PIECES),
    )
