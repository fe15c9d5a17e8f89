"""The model `cnn`: factors that a network predicts from pictures, for items that have none of their
own, and of which nothing else is known.
"""

from emberline.models import CNN, CONTENT
from emberline.scoring.models.offers import Known, Pieces
from emberline.scoring.models.predicted import predicted_pieces


def pieces(known: Known) -> Pieces:
    """Users' factors, and the predicted ones of items without ratings."""
    return predicted_pieces(known, CNN, better=CONTENT.new_items)
