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
    """Where raw records are and how their files are written.

    CSV has fields between separators (`separator = "whitespace"` is any number of blanks and tabs);
    a field in quotes may hold separators and line breaks; with `escape`, often a backslash, the
    character behind it is text. JSON holds one object per line. `encoding` is any that Python
    knows.

    `path` is a file, a folder or a glob, relative to the pipeline file's folder (places.py has the
    rules).
    """

    path: str = place()
    format: Literal["auto", "csv", "json", "parquet"] = "auto"
    separator: Annotated[str, Field(min_length=1)] = ","
    header: bool = True
    quote: Annotated[str, Field(max_length=1)] = '"'
    escape: Annotated[str, Field(max_length=1, pattern=r"^[^\w\s]?$")] = ""
    comment: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: str = "utf-8"

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
    """How texts are cleaned: `nulls` are texts that mean that there is none, as the empty one does.

    With `normalize`, texts get Unicode's normal form NFC, and lose all white space around them: an
    id is one id, however its accents are written, and whatever blank stands behind it.
    """

    nulls: Annotated[tuple[str, ...], Field(strict=False)] = NULLS
    normalize: bool = True

    def text_rules(self) -> TextRules:
        return TextRules(self.nulls, self.normalize)


class RowsConfig(TextConfig):
    """How numbers are written, `decimal` before the fraction and `thousands` between groups of
    digits.

    Where more than the share `max_rejected` of the rows cannot be used, the stage stops; rows that
    a `reject` rule names are not counted.
    """

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'", "\u00a0", "\u202f"] = ""
    max_rejected: float = where(0.05, ge=0, le=1)

    @model_validator(mode="after")
    def _numbers_can_be_read(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(
                f"decimal and thousands are both {self.decimal!r}: one of them is another character"
            )
        return self

    def number_rules(self) -> NumberRules:
        return NumberRules(self.decimal, self.thousands)
