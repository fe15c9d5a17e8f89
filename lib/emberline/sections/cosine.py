"""The section [cosine]: neighbours of items and of users."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from emberline.sections.base import Positive, Section, Seed, tuned
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class NeighborRatingsConfig(Section):
    """How ratings are predicted from neighbours: the deviations from damped biases of the most
    similar items that the user rated, or users who rated the item, weighted by similarity.

    Similarities are cosines of such deviations, with a `shrinkage` and a `min_support` of their own
    (cf/cosine/neighborhood.py and scoring/biases.py have the formulas).
    """

    top_k: Positive = Field(
        default=40,
        json_schema_extra=tuned(10, 100, log=True),
        description="How many of the most similar items that the user rated, or users who rated "
        "the item, predict a rating.",
    )
    shrinkage: Annotated[float, Field(ge=0)] = Field(
        default=50.0,
        json_schema_extra=tuned(1.0, 200.0, log=True),
        description="Similarities are multiplied by n / (n + shrinkage), for n ratings in common.",
    )
    min_support: Positive = Field(
        default=1, description="Pairs with fewer ratings in common are no neighbours."
    )
    prior: Annotated[float, Field(ge=0)] = Field(
        default=0.1,
        json_schema_extra=tuned(0.01, 1.0, log=True),
        description="The similarity of one more neighbour that deviates by 0, which few and "
        "distant ones do not outweigh.",
    )
    damping: Annotated[float, Field(ge=0)] = Field(
        default=5.0,
        json_schema_extra=tuned(1.0, 20.0, log=True),
        description="How many average ratings are added to each user's and each item's own, for "
        "their biases.",
    )


class CosineConfig(Section):
    """Cosine neighbours of items, of users, or of both (cf/cosine has the formulas)."""

    sides: Annotated[tuple[Literal["items", "users"], ...], Field(strict=False, min_length=1)] = (
        Field(
            default=(
                "items",
                "users",
            ),
            description="Whether neighbours of items, of users, or of both are computed.",
        )
    )
    top_k: Positive = Field(
        default=50,
        json_schema_extra=tuned(10, 200, log=True),
        description="How many neighbours each item or user keeps.",
    )
    weighting: Literal["auto", "none", "tf-idf", "bm25"] = Field(
        default="auto",
        json_schema_extra=tuned(choices=("bm25", "tf-idf", "none")),
        description='How ratings are weighted for lists: "bm25", "tf-idf", or as they are '
        '("none"); "auto" is "bm25", but "none" where ratings are centred or some '
        "are below 0.",
    )
    center: Literal["none", "user", "item"] = Field(
        default="none",
        description='Whose mean is taken off ratings before they are compared; "user" is the '
        "adjusted cosine.",
    )
    shrinkage: Annotated[float, Field(ge=0)] = Field(
        default=10.0,
        json_schema_extra=tuned(0.1, 100.0, log=True),
        description="Similarities are multiplied by n / (n + shrinkage), for n ratings in "
        "common; without it, whoever shares one rare item is most alike.",
    )
    min_support: Positive = Field(
        default=1, description="Pairs with fewer ratings in common are not published."
    )
    max_ratings: Annotated[int, Field(ge=2)] | None = Field(
        default=None,
        description="No more than so many ratings count, of a user where items are compared, of "
        "an item where users are; chosen by hash. Set it where a few have very "
        "many.",
    )
    ratings: NeighborRatingsConfig = Field(
        default=NeighborRatingsConfig(),
        description="How ratings are predicted from neighbours; no setting before it but "
        "max_ratings changes that.",
    )
    seed: Seed = Field(
        default=1, description="The seed of the hash that chooses ratings, with max_ratings."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.weighting not in ("auto", "none") and self.center != "none":
            raise ValueError(
                f'weighting = "{self.weighting}" is for lists, center = "{self.center}" for'
                " ratings: remove one"
            )
        return self

    def check_suits(self, value: str) -> None:
        """Raises ValueError where events are to be centred, which only ratings can be."""
        if self.center != "none" and value != "rating":
            raise ValueError(
                f'cosine.center = "{self.center}" is for ratings; events have no mean to differ'
                " from: remove it"
            )

    def meant(self, has_ratings: bool) -> dict[str, Any]:
        return {"weighting": self.weighted().weighting}

    def weighted(self, has_negative: bool = False) -> Self:
        """As it is computed: with the weighting that suits the values, where none is said."""
        if self.weighting != "auto":
            return self
        return self.model_copy(
            update={"weighting": "none" if has_negative or self.center != "none" else "bm25"}
        )

    def for_people(self, side: str, min_users: int) -> Self:
        """As it is published: behind a pair of items there are so many users who rated both. Behind
        one of users there are these two.
        """
        least = max(self.min_support, min_users) if side == "item" else self.min_support
        return self.model_copy(update={"min_support": least})


def cosine_tables(config: "Config") -> Names:
    """The tables that train-cosine writes: of the sides that were asked for."""
    sides = config.cosine.sides if config.cosine else ()
    return tuple(
        name
        for side, name in (("items", "item_neighbors"), ("users", "user_neighbors"))
        if side in sides
    )


def memory(sizes: Sizes, cores: int, ratings: str = "ratings") -> int:
    """Bytes that a search takes at most where blocks are worked on here, as measured at 1, 4 and 16
    million ratings.
    """
    return cores * (250 << 20) + 112 * sizes.rows(ratings)


STAGE = Stage(
    "train-cosine",
    "cosine",
    "flow",
    "emberline.neighbors.stage:run",
    reads=lambda config: ("ratings",),
    writes=cosine_tables,
    memory=lambda config, sizes, cores: memory(sizes, cores),
    private=("min_users",),
)
