"""The section [export]: the trained network in small forms, each measured beside it."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from emberline import extras
from emberline.extras import Extra
from emberline.models import ALS, CNN, EXPORTED
from emberline.sections.base import Positive, Section
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config

Form = Literal["float32", "float16", "int8", "onnx"]
Loss = Annotated[float, Field(ge=0, le=1)]


class ExportConfig(Section):
    """The trained network in small forms, for phones, web services and other programs, each
    measured beside the network on the same pictures. What loses too much is not published.
    """

    forms: Annotated[tuple[Form, ...], Field(strict=False, min_length=1)] = Field(
        default=("float32", "float16", "int8"),
        description="In which forms the network is written, besides the Keras model itself: for "
        "LiteRT in float32, float16 and int8, which is whole numbers throughout, a quarter of the "
        "bytes and the quickest; and as onnx, in float32, for ONNX's runtimes (extra onnx).",
    )
    calibration_pictures: Positive = Field(
        default=500,
        description="By how many pictures of those for training the ranges of int8 are found; more "
        "where int8 loses too much.",
    )
    test_pictures: Positive = Field(
        default=10_000,
        description="On how many pictures the forms are measured, at most: of those for testing, "
        "or, where there are none, of those for choosing.",
    )
    max_accuracy_loss: Loss = Field(
        default=0.005,
        description="How much less accurate than the network a form may be and be published, as a "
        "share of the pictures.",
    )
    max_auc_loss: Loss = Field(
        default=0.003,
        description="How much smaller a form's area under the ROC curve of items that nobody has "
        "rated may be than the network's, for it to be published.",
    )
    max_distance: Loss = Field(
        default=0.02,
        description="Where no item is withheld whole: how far from 1 the mean cosine of a form's "
        "factors and the network's may be, for it to be published.",
    )

    @field_validator("forms")
    @classmethod
    def _each_once(cls, forms: tuple[Form, ...]) -> tuple[Form, ...]:
        return tuple(dict.fromkeys(forms))


def _reads(config: "Config") -> Names:
    shards = ("shards_train", "shards_val", "shards_test")
    is_of_factors = config.shards is not None and config.shards.task == "factors"
    return (CNN.name, *shards, *(("holdout", ALS.lists[0]) if is_of_factors else ()))


def _needs(config: "Config") -> Extra:
    forms = config.export.forms if config.export else ()
    return extras.EXPORT_ONNX if "onnx" in forms else extras.EXPORT


STAGE = Stage(
    "export-model",
    "export",
    "tensorflow",
    "emberline.cnn.export:run",
    reads=_reads,
    writes=lambda config: (EXPORTED,),
    extra=_needs,
)
