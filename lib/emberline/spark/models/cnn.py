"""The model `cnn`: factors that a network predicts from pictures, for items that have none of their
own.
"""

from pyspark.sql import functions as F

from emberline.models import ALS, CNN
from emberline.spark.candidates import within
from emberline.spark.models.offers import Known, Pieces
from emberline.spark.pieces import item_pieces, user_pieces
from emberline.spark.scan import Scan


def pieces(known: Known) -> Pieces:
    """Users' factors, and the predicted ones of items without ratings."""
    users, items = ALS.lists
    (predicted,) = CNN.new_items
    own = known.tables[predicted].frame.where(F.col("model") == CNN.name)
    unrated = own.join(known.tables[items].frame, "item", "left_anti")
    return (
        user_pieces(known.of_users(users)),
        item_pieces(within(Scan(unrated), known.items)),
    )
