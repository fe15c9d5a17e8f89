"""Where raw records are, and how their files, texts and numbers are written."""

import codecs
import re
from contextlib import suppress
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.cleaning.numbers import NumberRules
from emberline.cleaning.texts import NULLS, TextRules
from emberline.records.dialect import Dialect
from emberline.sections.base import Section, place, where

_WINDOWS = re.compile(r"(?:x-)?windows-(\d+j?)")  # what others call Python's cp949 or cp932


class RawConfig(Section):
    """Where raw records are and how their files are written: CSV, JSON with one object per line, or
    Parquet.
    """

    path: str = place(
        description="The raw files: a file, a folder or a glob, relative to the pipeline file's "
        "folder, or dataset:NAME/FILE."
    )
    format: Literal["auto", "csv", "json", "parquet"] = Field(
        default="auto", description='How the files are written; "auto" goes by their names\' ends.'
    )
    separator: Annotated[str, Field(min_length=1)] = Field(
        default=",",
        description='What stands between the fields of CSV; "whitespace" is any number of '
        "blanks and tabs.",
    )
    header: bool = Field(
        default=True,
        description="Whether the first line of a CSV file names the columns; without one, "
        "columns are positions counted from 1.",
    )
    quote: Annotated[str, Field(max_length=1)] = Field(
        default='"',
        description="The character around fields that may hold separators and line breaks; the "
        "empty text means none.",
    )
    escape: Annotated[str, Field(max_length=1, pattern=r"^[^\w\s]?$")] = Field(
        default="",
        description="The character, often a backslash, behind which the next one is text; the "
        "empty text means none.",
    )
    comment: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="Lines that begin with this character are left out."
    )
    encoding: str = Field(
        default="utf-8",
        description="The encoding of text files: any that Python knows, such as utf-8, cp1252 "
        "or utf-16.",
    )

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        for known in (name, _WINDOWS.sub(r"cp\1", name.lower()).replace("cp31j", "cp932")):
            with suppress(LookupError):
                b" ".decode(known, "ignore")
                return codecs.lookup(known).name
        raise ValueError(
            "unknown encoding; it is one that Python knows, such as utf-8, cp1252, cp932 or utf-16"
        )

    def dialect(self, kind: str) -> Dialect:
        """How files of a kind, csv or json, are written."""
        # doubled quotes are read in any case
        escape = self.escape if self.escape != self.quote else ""
        return Dialect(
            kind, self.separator, self.header, self.quote, escape, self.comment or "", self.encoding
        )


class TextConfig(RawConfig):
    """How texts are cleaned."""

    nulls: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=NULLS, description="Texts that mean that there is no value, as the empty one does."
    )
    normalize: bool = Field(
        default=True,
        description="Whether texts get Unicode's normal form NFC and lose the white space "
        "around them, so that an id is one id however its accents are written.",
    )

    def text_rules(self) -> TextRules:
        return TextRules(self.nulls, self.normalize)


class RowsConfig(TextConfig):
    """How numbers are written, and how many rows may be unusable."""

    decimal: Literal[".", ","] = Field(
        default=".", description="The character before a number's fraction."
    )
    thousands: Literal["", ".", ",", " ", "'", "\u00a0", "\u202f"] = Field(
        default="", description="The character between groups of digits; the empty text means none."
    )
    max_rejected: float = where(
        0.05,
        ge=0,
        le=1,
        description="The share of rows that may be unusable before the stage stops; rows that a "
        "reject rule names are not counted.",
    )

    @model_validator(mode="after")
    def _numbers_can_be_read(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(
                f"decimal and thousands are both {self.decimal!r}: one of them is another character"
            )
        return self

    def number_rules(self) -> NumberRules:
        return NumberRules(self.decimal, self.thousands)
