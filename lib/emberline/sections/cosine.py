"""The section [cosine]: neighbours of items and of users."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from emberline.sections.base import Positive, Section, Seed
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class NeighborRatingsConfig(Section):
    """How ratings are predicted from neighbours: the deviations from `damping`-ed biases of the
    `top_k` most similar items that the user rated, or of the most similar users who rated the item,
    weighted by similarity.

    Similarities are cosines of such deviations, with a `shrinkage` and a `min_support` of their
    own. `prior` is the similarity of one more neighbour that deviates by 0, which few and distant
    ones do not outweigh; `damping` is how many average ratings are added to each user's and each
    item's own (cf/cosine/neighborhood.py and spark/biases.py have the formulas).
    """

    top_k: Positive = 40
    shrinkage: Annotated[float, Field(ge=0)] = 50.0
    min_support: Positive = 1
    prior: Annotated[float, Field(ge=0)] = 0.1
    damping: Annotated[float, Field(ge=0)] = 5.0


class CosineConfig(Section):
    """Cosine neighbours of items, of users, or of both: the `top_k` most similar of each.

    Ratings are weighted for lists ("bm25", "tf-idf"; cf/cosine/similarity.py has the formulas), or compared as
    they are ("none"), or less their user's or their item's mean (`center = "user"` is the adjusted
    cosine). `weighting = "auto"` is "bm25", but "none" where they are centred, or some are below 0.
    Similarities are multiplied by n / (n + `shrinkage`), for n ratings in common: without it,
    whoever shares one rare item is most alike. Pairs with fewer than `min_support` of them are not
    published. With `max_ratings`, no more than so many ratings count of one user, where items are
    compared, and of one item, where users are; chosen by hash, with `seed`.

    Ratings are predicted by neighbours of their own, as `ratings` says, which no setting before it
    but `max_ratings` changes.
    """

    sides: Annotated[tuple[Literal["items", "users"], ...], Field(strict=False, min_length=1)] = (
        "items",
        "users",
    )
    top_k: Positive = 50
    weighting: Literal["auto", "none", "tf-idf", "bm25"] = "auto"
    center: Literal["none", "user", "item"] = "none"
    shrinkage: Annotated[float, Field(ge=0)] = 10.0
    min_support: Positive = 1
    max_ratings: Annotated[int, Field(ge=2)] | None = None
    ratings: NeighborRatingsConfig = NeighborRatingsConfig()
    seed: Seed = 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.weighting not in ("auto", "none") and self.center != "none":
            raise ValueError(
                f'weighting = "{self.weighting}" is for lists, center = "{self.center}" for'
                " ratings: remove one"
            )
        return self

    def weighted(self, has_negative: bool = False) -> Self:
        """As it is computed: with the weighting that suits the values, where none is said."""
        if self.weighting != "auto":
            return self
        return self.model_copy(
            update={"weighting": "none" if has_negative or self.center != "none" else "bm25"}
        )


def cosine_tables(config: "Config") -> Names:
    """The tables that train-cosine writes: of the sides that were asked for."""
    sides = config.cosine.sides if config.cosine else ()
    return tuple(
        name
        for side, name in (("items", "item_neighbors"), ("users", "user_neighbors"))
        if side in sides
    )


STAGE = Stage(
    "train-cosine",
    "cosine",
    "spark",
    "emberline.spark.cosine.stage:run",
    reads=lambda config: ("ratings",),
    writes=cosine_tables,
)
