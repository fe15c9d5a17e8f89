"""The section [content]: factors of items by what is said of them."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from emberline.models import ALS, CNN, CONTENT, CONTENT_USER, blended
from emberline.sections import als
from emberline.sections.base import Positive, Section, Seed, tuned
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class ContentConfig(Section):
    """What is said of items (genres, tags, titles, texts, labels, numbers) predicts their factors,
    each as far as it proves itself, and what a network predicts from pictures is added where
    [predict] does; in the same way what is known of users, where [attributes] has them.
    """

    landmarks: Positive = Field(
        default=500,
        json_schema_extra=tuned(100, 1000, log=True),
        description="How many items (or users) the others are compared with; more are a little "
        "better, and take time and memory in proportion.",
    )
    sample: Positive = Field(
        default=2000,
        json_schema_extra=tuned(1000, 4000, log=True),
        description="On how many items (or users) in training it is tried what counts of that "
        "which is said.",
    )
    prior: Annotated[float, Field(ge=0)] = Field(
        default=65.0,
        json_schema_extra=tuned(5.0, 500.0, log=True),
        description="How strongly items' factors are held to what is said of the items: an item of "
        "few ratings is near to that, one of many near to what they say; 0 leaves factors as ALS "
        "has them.",
    )
    user_prior: Annotated[float, Field(ge=0)] = Field(
        default=5.0,
        json_schema_extra=tuned(1.0, 200.0, log=True),
        description="The same of users, held to what is known of them besides ratings, where "
        "[attributes.users] is.",
    )
    seed: Seed = Field(default=1, description="The seed of the draws of items and users.")


def _memory(config: "Config", sizes: Sizes, cores: int) -> int:
    """Bytes that a fit takes at most where blocks are worked on here."""
    rank = config.als.rank if config.als else 0
    sample = config.content.sample if config.content else 0
    described = max(sizes.rows("item_attributes"), sizes.rows("user_attributes"))
    factors = 4 * rank * described
    return (
        (400 << 20)
        + cores * (150 << 20)
        + 80 * sample**2
        + 3 * factors
        + 20 * sizes.rows("ratings")
    )


def tables_by_side(config: "Config") -> dict[str, Names]:
    """What the attributes of items (`item`) and of users (`user`) are made to, as far as there are
    any.
    """
    if config.content is None or config.attributes is None:
        return {}
    described = {"item": config.attributes.items, "user": config.attributes.users}
    made = {"item": CONTENT.new_items, "user": CONTENT_USER.new_users}
    return {side: made[side] for side, sources in described.items() if sources}


def models_by_side(config: "Config") -> dict[str, Names]:
    """The tables that the model of each side is kept as: landmarks, and tokens."""
    kept = {"item": CONTENT.kept, "user": CONTENT_USER.kept}
    return {side: kept[side] for side in tables_by_side(config)}


def _reads(config: "Config") -> Names:
    sides = tables_by_side(config)
    pictures = (*CNN.new_items, "shards_all") if "item" in sides and config.predicts_factors else ()
    return (*(f"{side}_attributes" for side in sides), "ratings", *ALS.lists, *pictures)


def _writes(config: "Config") -> Names:
    made, kept = tables_by_side(config), models_by_side(config)
    return tuple(name for side in made for name in (*made[side], *kept[side]))


STAGE = Stage(
    "train-content",
    CONTENT.name,
    "flow",
    "emberline.content.stage:run",
    reads=_reads,
    writes=_writes,
    uses=("landmarks", "sample", "seed"),
    memory=_memory,
)


def priors_by_side(config: "Config") -> dict[str, float]:
    """How strongly the items (`item`) and the users (`user`) of which something is predicted are
    held to that, where they are.
    """
    if config.content is None:
        return {}
    priors = {"item": config.content.prior, "user": config.content.user_prior}
    return {side: priors[side] for side in tables_by_side(config) if priors[side]}


def held_to(config: "Config") -> Names:
    """What they are held to."""
    made = tables_by_side(config)
    return tuple(name for side in priors_by_side(config) for name in made[side])


def blended_tables(config: "Config") -> Names:
    """The factors that are held to what is said of items, or known of users, which lists are made
    from.
    """
    if not priors_by_side(config):
        return ()
    held_by_zero = config.als is not None and config.als.nonnegative
    return () if held_by_zero else tuple(map(blended, ALS.lists))


def _blend_memory(config: "Config", sizes: Sizes, cores: int) -> int:
    return als.memory(config, sizes)


BLEND_STAGE = Stage(
    "blend",
    CONTENT.name,
    "flow",
    "emberline.scoring.blend:run",
    reads=lambda config: ("ratings", *ALS.lists, *held_to(config)),
    writes=blended_tables,
    uses=("prior", "user_prior"),
    memory=_blend_memory,
)
