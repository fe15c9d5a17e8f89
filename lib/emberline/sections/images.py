"""The section [images]: pictures, and the size they get."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from emberline.cleaning.texts import TextRules
from emberline.images.formats import EXTENSIONS
from emberline.sections import media
from emberline.sections.base import Positive, Section, place
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config

_ENCODED = 2000  # bytes of a picture in a file that holds several


class ImageColumnsConfig(Section):
    """Which Parquet column is which."""

    item_id: str = Field(description="The Parquet column of items' ids.")
    image: str = Field(
        description="The Parquet column of encoded pictures: the bytes of PNG, JPEG and others."
    )
    label: str | None = Field(
        default=None, description="The Parquet column of the picture's class."
    )
    group: str | None = Field(
        default=None,
        description="The Parquet column of what the picture belongs to (a patient, a camera), for "
        "shards.group.",
    )


class ImagesConfig(Section):
    """Where pictures are, and the fixed size they get."""

    path: str = place(
        description="The pictures: a folder, a file or a glob, relative to the pipeline file's "
        "folder, or dataset:NAME/FILE."
    )
    format: Literal["auto", "files", "parquet", "cifar10", "idx"] = Field(
        default="auto",
        description="How pictures are stored: a folder tree of files, Parquet, or the files of "
        'CIFAR-10 or MNIST (idx); "auto" goes by what is there.',
    )
    labels: Literal["none", "folder"] = Field(
        default="none",
        description='With "folder", a file\'s folder is its label and its path its item id; with '
        '"none", its name without the extension is its item id.',
    )
    columns: ImageColumnsConfig | None = Field(
        default=None, description="Which Parquet column is which."
    )
    label_names: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description="The names of classes that are numbers: of collections, of a column of "
        "Parquet, of folders.",
    )
    split: Literal["auto", "none"] = Field(
        default="auto",
        description="Whether first folders and Parquet files called train, val and test say "
        'what a picture is for ("auto"), or nothing ("none").',
    )
    normalize: bool = Field(
        default=True,
        description="Whether ids and labels get Unicode's normal form NFC and lose the white "
        "space around them.",
    )
    height: Positive = Field(default=32, description="The height that pictures get, in pixels.")
    width: Positive = Field(default=32, description="The width that pictures get, in pixels.")
    channels: Literal[1, 3] = Field(default=3, description="3 for colour, 1 for grey.")
    fit: Literal["crop", "pad", "stretch"] = Field(
        default="crop",
        description="How a picture of another shape gets the size: its edges cut off, filled "
        "up, or stretched.",
    )
    max_pixels: Positive = Field(
        default=50_000_000,
        description="Pictures of more pixels are refused before they are decoded; a pixel takes "
        "up to 6 bytes of memory meanwhile, on each core, 9 in transparent pictures, 12 in "
        "floating point, 16 in WebP, 3 in progressive JPEG, next to none in other "
        "JPEG.",
    )

    def text_rules(self) -> TextRules:
        """How ids and labels are cleaned: no text of theirs means that there is none."""
        return TextRules((), self.normalize)


def _raw(config: "Config") -> Names:
    return (config.images.path,) if config.images else ()


STAGE = Stage(
    "prepare-images",
    "images",
    "flow",
    "emberline.pictures.stage:run",
    reads=lambda config: media.tables_read(config, _raw(config)),
    writes=lambda config: ("images", "rejected_images"),
    raw=_raw,
    memory=lambda config, sizes, cores: media.memory(sizes, cores, EXTENSIONS, _ENCODED),
    private=("item_pseudonyms",),
)
