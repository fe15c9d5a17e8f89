"""The section [publish]: what comes after the pipeline."""

from typing import Annotated

from pydantic import Field

from emberline.sections.base import Positive, Section, place


class PublishConfig(Section):
    """What `emberline publish --config` does: no stage of the pipeline, but what comes after it.

    With `default_gates`, nothing is published that a trivial answer is better than, besides what
    `gates` ask.
    """

    to: str | None = place(None)
    tables: Annotated[tuple[str, ...], Field(strict=False)] = ()
    gates: Annotated[tuple[str, ...], Field(strict=False)] = ()
    default_gates: bool = True
    keep: Positive = 3
