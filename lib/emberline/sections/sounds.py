"""The section [sounds]: sounds, and the spectrograms that they become."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline import extras
from emberline.cleaning.texts import TextRules
from emberline.datasets.facts import Spectrograms
from emberline.sections import media
from emberline.sections.base import Positive, Seconds, Section, place
from emberline.sections.patterns import regular_expression
from emberline.sections.stage import Names, Stage
from emberline.sounds.formats import EXTENSIONS
from emberline.sounds.spectrogram import Mel

if TYPE_CHECKING:
    from emberline.sections.config import Config

_PLAYED = 2.0  # seconds
_ENCODED = 10_000  # bytes of a sound in Parquet


class SoundColumnsConfig(Section):
    """Which column of Parquet, or of a list of paths, is which."""

    item_id: str = Field(description="The column of items' ids.")
    sound: str = Field(
        description="The column of encoded sounds (in Parquet), the bytes of WAV, FLAC and others; "
        "or (in CSV) of paths, relative to the list's folder, which they do not leave."
    )
    label: str | None = Field(default=None, description="The column of the sound's class.")
    group: str | None = Field(
        default=None,
        description="The column of what the sound belongs to (a speaker, a device), for "
        "shards.group.",
    )


class SoundNamesConfig(Section):
    """What is said by files' names, without their extension."""

    label: str | None = Field(
        default=None,
        description="The regular expression whose group, or else all that it finds in a file's "
        "name, is the label.",
    )
    test: str | None = Field(
        default=None,
        description="The regular expression that finds something in the names of those files "
        "that are the publisher's test set; the others are for training.",
    )

    @field_validator("label", "test")
    @classmethod
    def _is_regular_expression(cls, pattern: str | None) -> str | None:
        return None if pattern is None else regular_expression(pattern)


class SoundsConfig(Section):
    """Where sounds are, and the spectrograms, all of one size, that they become."""

    path: str = place(
        description="The sounds: a folder, a file or a glob, relative to the pipeline file's "
        "folder, or dataset:NAME/FILE."
    )
    format: Literal["auto", "files", "parquet", "csv"] = Field(
        default="auto",
        description="How sounds are stored: a folder tree of files (WAV, FLAC, Ogg, MP3 and "
        "others that libsndfile reads), Parquet, or CSV with a header that lists paths; "
        '"auto" goes by what is there.',
    )
    labels: Literal["none", "folder"] = Field(
        default="none",
        description='With "folder", a file\'s folder is its label and its path its item id; with '
        '"none", its name without the extension is its item id.',
    )
    names: SoundNamesConfig | None = Field(
        default=None, description="What is said by files' names, without their extension."
    )
    columns: SoundColumnsConfig | None = Field(
        default=None, description="Which column of Parquet, or of a list of paths, is which."
    )
    split: Literal["auto", "none"] = Field(
        default="auto",
        description="Whether first folders and Parquet files called train, val and test, or "
        'names.test, say what a sound is for ("auto"), or nothing ("none").',
    )
    normalize: bool = Field(
        default=True,
        description="Whether ids and labels get Unicode's normal form NFC and lose the white "
        "space around them.",
    )
    rate: Annotated[int, Field(ge=1000, le=192_000)] = Field(
        default=16_000, description="To how many samples a second sounds are resampled."
    )
    seconds: Seconds = Field(
        default=1.0,
        description="How much of each sound is kept; a shorter one is filled up with silence.",
    )
    keep: Literal["start", "middle", "loudest"] = Field(
        default="start", description="Which part of a longer sound is kept."
    )
    max_seconds: Seconds = Field(
        default=600.0,
        description="Longer sounds are refused before they are decoded; memory does not grow with "
        "length, time does.",
    )
    window: Annotated[int, Field(ge=16, le=65_536)] = Field(
        default=512,
        description="Over how many samples each column of a spectrogram is computed: longer ones "
        "tell pitches apart, shorter ones moments; an even number.",
    )
    hop: Positive = Field(
        default=256, description="How many samples lie between two columns of a spectrogram."
    )
    bands: Annotated[int, Field(ge=8)] = Field(
        default=64,
        description="How many bands of pitch, equally far apart in mel, a spectrogram has.",
    )
    decibels: Annotated[float, Field(ge=10, le=120)] = Field(
        default=80.0,
        description="How far below a sound's loudest place black is; what is quieter is black, "
        "too.",
    )
    clip_seconds: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="How much of what is kept of a sound is stored to be played by the report, at "
        "8 KB a second; without it, 2 where lists are recommended, else nothing.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.window % 2:
            raise ValueError(f"window = {self.window} is not an even number of samples")
        if self.max_seconds < self.seconds:
            raise ValueError(
                f"max_seconds = {self.max_seconds:g} refuses sounds that are not longer than"
                f" seconds = {self.seconds:g}"
            )
        if self.bands > self.window // 2:
            raise ValueError(
                f"bands = {self.bands} are more than the {self.window // 2} frequencies that a"
                f" window of {self.window} samples tells apart: raise window"
            )
        if self.names and self.names.label and self.labels == "folder":
            raise ValueError('labels = "folder" and names.label both say the label: remove one')
        return self

    @property
    def mel(self) -> Mel:
        """How sounds are transformed."""
        return Mel(self.rate, self.window, self.hop, self.bands, self.decibels)

    @property
    def spectrograms(self) -> Spectrograms:
        """What a manifest says of spectrograms."""
        return Spectrograms(self.rate, self.seconds, self.window, self.hop, self.decibels)

    def text_rules(self) -> TextRules:
        """How ids and labels are cleaned: no text of theirs means that there is none."""
        return TextRules((), self.normalize)


def with_clips(content: Any) -> Any:
    """A pipeline's content, sounds to be played where lists are recommended, unless it says so."""
    sounds = content.get("sounds") if isinstance(content, dict) else None
    if not isinstance(sounds, dict) or content.get("recommend") is None:
        return content
    return content | {"sounds": {"clip_seconds": _PLAYED} | sounds}


def _raw(config: "Config") -> Names:
    return (config.sounds.path,) if config.sounds else ()


STAGE = Stage(
    "prepare-sounds",
    "sounds",
    "flow",
    "emberline.recordings.stage:run",
    reads=lambda config: (
        *media.tables_read(config, _raw(config)),
        *(("images",) if config.images else ()),
    ),
    writes=lambda config: ("sounds", "rejected_sounds"),
    raw=_raw,
    memory=lambda config, sizes, cores: media.memory(sizes, cores, EXTENSIONS, _ENCODED),
    extra=lambda config: extras.SOUND,
    private=("item_pseudonyms",),
)
