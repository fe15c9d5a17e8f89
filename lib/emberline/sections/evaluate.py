"""The section [evaluate]: how recommendations are measured."""

from typing import Annotated

from pydantic import Field

from emberline.sections.base import Positive, Section, Seed


class EvaluateConfig(Section):
    """How recommendations are measured on the holdout: at which `k`, and from which value on a
    held-out rating is relevant.

    `cold_k` is for the lists of cold items only, by the factors that their pictures predict.
    `damping` is that of the biases which predicted ratings are measured beside: how many average
    ratings are added to each user's and each item's own.
    """

    k: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (10,)
    cold_k: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (20,)
    relevant_from: float | None = None
    damping: Annotated[float, Field(ge=0)] = 5.0
    seed: Seed = 1
