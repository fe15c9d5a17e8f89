"""The model `cnn`: factors that a network predicts from pictures, for items that have none of their
own.
"""

from functools import partial

import pyarrow as pa

from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_dense
from emberline.datasets.rows import chained, only, unchanged
from emberline.models import ALS, CNN
from emberline.scoring.topk import COLUMNS_PER_BLOCK, user_pieces
from emberline.spark.models.offers import Chosen, Known, Pieces

_ITEMS = pa.schema([("item", pa.int32())])


def pieces(known: Known) -> Pieces:
    """Users' factors, and the predicted ones of items without ratings."""
    users, items = ALS.lists
    (predicted,) = CNN.new_items
    rated = known.tables[items].map(("item",), unchanged, _ITEMS).table()["item"].to_numpy()
    unrated = Chosen(known.listed(predicted), "item", rated, others=True)
    scatter = partial(scatter_dense, block_size=COLUMNS_PER_BLOCK)
    task = partial(chained, first=partial(only, value=CNN.name), second=scatter)
    return (
        user_pieces(known.tables[users]),
        unrated.map(("item", "factors", "model"), task, PIECES),
    )
