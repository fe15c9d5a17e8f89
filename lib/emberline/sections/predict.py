"""The section [predict]: what the trained network says of pictures."""

from typing import TYPE_CHECKING

from emberline import extras
from emberline.models import CNN
from emberline.sections.base import Positive, Section, where
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class PredictConfig(Section):
    """What the trained network says of every item with a picture."""

    batch_size: Positive = where(
        256,
        description="How many pictures the network sees at once; more are quicker, and take "
        "more memory.",
    )


def _writes(config: "Config") -> Names:
    return (*(CNN.classes if config.predicts_classes else CNN.new_items), "embeddings")


STAGE = Stage(
    "predict-items",
    "predict",
    "tensorflow",
    "emberline.cnn.predict:run",
    reads=lambda config: (CNN.name, "shards_all"),
    writes=_writes,
    extra=lambda config: extras.TRAIN,
)
