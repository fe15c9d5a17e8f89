"""The section [images]: pictures, and the size they get."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from emberline.cleaning.texts import TextRules
from emberline.sections.artifacts import artifacts_of
from emberline.sections.attributes import attribute_tables
from emberline.sections.base import Positive, Section, place
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class ImageColumnsConfig(Section):
    """Which Parquet column is which; `image` holds encoded bytes: PNG, JPEG, ..."""

    item_id: str
    image: str
    label: str | None = None


class ImagesConfig(Section):
    """Where pictures are, and the fixed size they get.

    `format = "files"` is a folder tree of pictures. There, with `labels = "folder"` a picture's
    folder is its label and its path its item id; with `labels = "none"` its file name without the
    extension is its item id. `label_names` names classes that are
    numbers: of collections, of a column of Parquet, of folders.

    With `split = "auto"`, first folders called train, val (valid, validation) and test, in any
    case, say what a picture is for, and so do Parquet files called train-00000-of-00002.parquet;
    with `"none"` they say nothing. `normalize` is that of ratings. A picture of more than
    `max_pixels` is refused before it is decoded: a pixel takes up to 6 bytes of a worker's memory,
    of transparent pictures 9, of floating point 12, of WebP 16; of progressive JPEG 3, of other
    JPEG next to none.
    """

    path: str = place()
    format: Literal["auto", "files", "parquet", "cifar10", "idx"] = "auto"
    labels: Literal["none", "folder"] = "none"
    columns: ImageColumnsConfig | None = None
    label_names: Annotated[tuple[str, ...], Field(strict=False)] = ()
    split: Literal["auto", "none"] = "auto"
    normalize: bool = True
    height: Positive = 32
    width: Positive = 32
    channels: Literal[1, 3] = 3
    fit: Literal["crop", "pad", "stretch"] = "crop"
    max_pixels: Positive = 50_000_000

    def text_rules(self) -> TextRules:
        """How ids and labels are cleaned: no text of theirs means that there is none."""
        return TextRules((), self.normalize)


def _raw(config: "Config") -> Names:
    return (config.images.path,) if config.images else ()


STAGE = Stage(
    "prepare-images",
    "images",
    "spark",
    "emberline.spark.images:run",
    reads=lambda config: (
        *artifacts_of(_raw(config)),
        *(("items",) if config.ratings else ()),
        *(name for name in attribute_tables(config) if name == "item_attributes"),
    ),
    writes=lambda config: ("images", "rejected_images"),
    raw=_raw,
)
