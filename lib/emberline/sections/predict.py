"""The section [predict]: what the trained network says of pictures."""

from emberline.sections.base import Positive, Section, where


class PredictConfig(Section):
    """What the trained network says of every item with a picture."""

    batch_size: Positive = where(256)
