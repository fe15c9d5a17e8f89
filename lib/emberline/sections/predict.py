"""The section [predict]: what the trained network says of pictures."""

from typing import TYPE_CHECKING

from emberline.sections.base import Positive, Section, where
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class PredictConfig(Section):
    """What the trained network says of every item with a picture."""

    batch_size: Positive = where(256)


def _writes(config: "Config") -> Names:
    return ("predicted_classes" if config.predicts_classes else "predicted_factors", "embeddings")


STAGE = Stage(
    "predict-items",
    "predict",
    "tensorflow",
    "emberline.cnn.predict:run",
    reads=lambda config: ("cnn", "shards_all"),
    writes=_writes,
)
