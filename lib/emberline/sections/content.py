"""The section [content]: factors of items by what is said of them."""

from typing import TYPE_CHECKING

from pydantic import Field

from emberline.models import ALS, CONTENT
from emberline.sections.base import Positive, Section, Seed
from emberline.sections.stage import Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class ContentConfig(Section):
    """What is said of items (genres, tags, titles, texts, labels, numbers) predicts their factors,
    each as far as it proves itself.
    """

    landmarks: Positive = Field(
        default=500,
        description="How many items the others are compared with; more are a little better, and "
        "take time and memory in proportion.",
    )
    sample: Positive = Field(
        default=2000,
        description="On how many items in training it is tried what counts of that which is said.",
    )
    seed: Seed = Field(default=1, description="The seed of the draws of items and users.")


def _memory(config: "Config", sizes: Sizes, cores: int) -> int:
    """Bytes that a fit takes at most where blocks are worked on here."""
    rank = config.als.rank if config.als else 0
    sample = config.content.sample if config.content else 0
    factors = 4 * rank * sizes.rows("item_attributes")
    return (
        (400 << 20)
        + cores * (150 << 20)
        + 80 * sample**2
        + 3 * factors
        + 20 * sizes.rows("ratings")
    )


STAGE = Stage(
    "train-content",
    CONTENT.name,
    "flow",
    "emberline.content.stage:run",
    reads=lambda config: ("item_attributes", "ratings", *ALS.lists),
    writes=lambda config: CONTENT.new_items,
    memory=_memory,
)
