"""What the models that predict items' factors have in common."""

from functools import partial

import numpy as np

from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_dense
from emberline.datasets.rows import only, through
from emberline.models import ALS, Model
from emberline.scoring.models.offers import Known, Pieces
from emberline.scoring.sources import Chosen, distinct
from emberline.scoring.topk import COLUMNS_PER_BLOCK, user_pieces


def predicted_pieces(known: Known, model: Model, better: tuple[str, ...] = ()) -> Pieces:
    """Users' factors, and those that the model predicts of items without ratings, but for items
    that are in a `better` table, if that is known.
    """
    users, items = ALS.lists
    (table,) = model.new_items
    answered = [
        distinct(known.tables[name], "item") for name in (items, *better) if name in known.tables
    ]
    unanswered = Chosen(
        known.listed(table), "item", np.unique(np.concatenate(answered)), others=True
    )
    scatter = partial(scatter_dense, block_size=COLUMNS_PER_BLOCK)
    task = partial(through, tasks=(partial(only, value=model.name), scatter))
    columns = ("item", "factors", "model")
    return user_pieces(known.tables[users]), unanswered.map(columns, task, PIECES)
