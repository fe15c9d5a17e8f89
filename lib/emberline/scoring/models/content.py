"""The model `content`: factors by what is said of items, for those that have none of their own."""

from emberline.models import CONTENT
from emberline.scoring.models.offers import Known, Pieces
from emberline.scoring.models.predicted import predicted_pieces


def pieces(known: Known) -> Pieces:
    """Users' factors, and the predicted ones of items without ratings."""
    return predicted_pieces(known, CONTENT)
