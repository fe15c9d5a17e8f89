"""The section [publish]: what comes after the pipeline."""

from typing import Annotated, Literal

from pydantic import Field

from emberline.sections.base import Positive, Section, place


class PublishConfig(Section):
    """What `emberline publish --config` does: no stage of the pipeline, but what comes after it."""

    to: str | None = place(None, description="The folder or bucket that releases are published to.")
    tables: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description="The tables that are published; none given means all that are served.",
    )
    gates: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description='Conditions under which a release is published, such as "ndcg@10 >= 0.9 * '
        'previous".',
    )
    default_gates: bool = Field(
        default=True,
        description="Whether nothing is published that a trivial answer is better than, besides "
        "what gates ask.",
    )
    factors: Literal["float32", "int8"] = Field(
        default="float32",
        description="How the factors by which lists are made are published: as they are, or "
        "items' as int8, with four bits more by which the best are scored again, and users' as "
        "float16.",
    )
    index_from: Positive = Field(
        default=1_000_000,
        description="From how many items on an index of them is published beside their factors, by "
        "which readers find the best without scoring all (extra index).",
    )
    keep: Positive = Field(
        default=3, description="How many releases are kept, the current one included."
    )
