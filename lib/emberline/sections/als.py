"""The section [als]: alternating least squares."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from emberline.models import ALS
from emberline.sections.base import Positive, Section, Seed, place, tuned, where
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class RatingFactorsConfig(Section):
    """The fit that predicts ratings, beside the one that makes lists; what is not here is as in
    [als].
    """

    rank: Positive = Field(
        default=32,
        json_schema_extra=tuned(4, 64, log=True),
        description="How many factors a user and an item have in the fit that predicts ratings.",
    )
    reg_param: Annotated[float, Field(ge=0)] = Field(
        default=0.1,
        json_schema_extra=tuned(0.02, 10.0, log=True),
        description="The regularisation of the fit that predicts ratings; raise it where "
        "held-out ratings are predicted worse than known ones.",
    )
    reg_exponent: Annotated[float, Field(ge=0)] = Field(
        default=1.0,
        json_schema_extra=tuned(0.0, 1.0),
        description="How that regularisation grows with a row's count of ratings, as "
        "als.reg_exponent says it of the fit that makes lists.",
    )
    biases: bool = Field(
        default=True,
        json_schema_extra=tuned(choices=(True, False)),
        description="Whether a rating is predicted by the mean of all, a bias of the user, one "
        "of the item and the product of their factors, or by that product alone.",
    )


class AlsConfig(Section):
    """Alternating least squares.

    Lists are made by implicit feedback, which learns whom to show what, also where the values are
    ratings. Explicit feedback learns to predict ratings, and makes bad lists.

    A row's count is of its ratings, with implicit feedback of its positive ones, and with an
    `unobserved_weight` w of its ratings plus w times the rows of the other side.
    """

    feedback: Literal["auto", "explicit", "implicit"] = Field(
        default="auto",
        description='What is learnt: whom to show what ("implicit", which makes lists, also of '
        'ratings), or ratings ("explicit", which makes bad lists); "auto" is '
        "implicit and, where predicted ratings are measured, explicit besides.",
    )
    rank: Positive = Field(
        default=64,
        json_schema_extra=tuned(16, 512, log=True),
        description="How many factors a user and an item have; more catch finer tastes, and "
        "cost memory and time.",
    )
    iterations: Annotated[int, Field(ge=0)] = Field(
        default=10,
        description="How often both sides are solved; 0 keeps the items' factors of start_from "
        "and folds all users in.",
    )
    reg_param: Annotated[float, Field(ge=0)] = Field(
        default=0.2,
        json_schema_extra=tuned(0.02, 2.0, log=True),
        description="The regularisation; a row's is reg_param * count ** reg_exponent. Raise it "
        "where lists are worse than popular items.",
    )
    reg_exponent: Annotated[float, Field(ge=0)] = Field(
        default=1.0,
        json_schema_extra=tuned(0.0, 1.0),
        description="How regularisation grows with a row's count of ratings: 0 not at all, 1 in "
        "proportion, as MLlib has it.",
    )
    alpha: Annotated[float, Field(gt=0)] = Field(
        default=1.0,
        json_schema_extra=tuned(0.1, 10.0, log=True),
        description="The weight of an observed pair is 1 plus alpha times its confidence; used "
        "by implicit feedback.",
    )
    confidence: Literal["auto", "linear", "log", "exp"] = Field(
        default="auto",
        json_schema_extra=tuned(choices=("linear", "log", "exp")),
        description="What confidence is: the value, log(1 + value), or exp of its distance from "
        'the mean in standard deviations; "auto" is "exp" for ratings, "log" for '
        "counts.",
    )
    unobserved_weight: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="With it, each observed pair weighs 1 and each unobserved one this, as in "
        "iALS++; without it, alpha and confidence weigh them.",
    )
    ratings: RatingFactorsConfig = Field(
        default=RatingFactorsConfig(),
        description="The fit that predicts ratings, beside the one that makes lists.",
    )
    nonnegative: bool = Field(
        default=False,
        description="Whether factors are kept from being negative; those that predict ratings "
        "are only where they have no biases.",
    )
    solver: Literal["cg", "cholesky", "subspace"] = Field(
        default="cg",
        description="How a half-step is solved: cg_steps of conjugate gradients, exactly by "
        "cholesky, or one pass over blocks of subspace factors, the quickest for "
        "ranks of some hundreds.",
    )
    cg_steps: Positive = Field(
        default=2,
        description='How many steps of conjugate gradients a half-step takes, with solver = "cg".',
    )
    subspace: Positive = Field(
        default=32, description='How many factors are solved together, with solver = "subspace".'
    )
    patience: Positive | None = Field(
        default=None,
        description="After how many iterations without a better one training ends; the best one "
        "is kept. Needs [split] validation.",
    )
    seed: Seed = Field(
        default=1,
        description="The seed of the first factors, and of what iterations are compared by.",
    )
    start_from: str | None = place(
        None,
        words=("previous",),
        description='The root whose factors training begins at; "previous" is the pipeline\'s '
        "own root.",
    )
    exchange: Literal["auto", "broadcast", "shuffle"] = where(
        "auto",
        description="How factors reach the workers: all to all of them, or to each the rows "
        'that it needs; "auto" broadcasts where the driver\'s memory allows it.',
    )
    blocks: Annotated[int, Field(gt=0, le=65536)] | None = where(
        None, description="Into how many parts each side is cut; none chooses by size and cores."
    )
    checkpoint_every: Positive = where(
        5,
        description="After how many iterations the state is stored, from which a killed run "
        "goes on.",
    )

    def idle(self) -> dict[str, str]:
        unused = {"cg_steps": "cg", "subspace": "subspace"}
        found = {name: "solver" for name, solver in unused.items() if solver != self.solver}
        if self.unobserved_weight is not None:
            found |= dict.fromkeys(("alpha", "confidence"), "unobserved_weight")
        return found

    def meant(self, has_ratings: bool) -> dict[str, Any]:
        by_kind = "exp" if has_ratings else "log"
        return {"confidence": by_kind} if self.confidence == "auto" else {}

    def for_lists(self, has_ratings: bool) -> Self:
        """As the fit that makes lists has it: with the confidence that suits the values, where none
        is said.
        """
        if self.confidence == "auto" and has_ratings:
            return self.model_copy(update={"confidence": "exp"})
        return self

    def for_ratings(self) -> Self:
        """As the fit that predicts ratings has it, by what [als.ratings] says."""
        nonnegative = self.nonnegative and not self.ratings.biases
        return self.model_copy(
            update={
                "rank": self.ratings.rank,
                "reg_param": self.ratings.reg_param,
                "reg_exponent": self.ratings.reg_exponent,
                "unobserved_weight": None,
                "nonnegative": nonnegative,
            }
        )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.iterations and not self.start_from:
            raise ValueError("iterations = 0 folds users into earlier factors: it needs start_from")
        if self.unobserved_weight is not None and self.confidence != "auto":
            raise ValueError(
                "with unobserved_weight each event weighs 1, whatever its confidence: remove one"
            )
        return self


def _writes(config: "Config") -> Names:
    lists = ALS.lists if config.makes_lists_by_als else ()
    return (*lists, *(ALS.ratings if config.predicts_ratings_by_als else ()))


def _reads(config: "Config") -> Names:
    validates = config.split is not None and config.split.validates
    return ("ratings", "validation") if validates else ("ratings",)


def memory(config: "Config", sizes: Sizes, ratings: str = "ratings") -> int:
    """Bytes that a fit takes at most where blocks are worked on here, as measured at 1, 4 and 16
    million ratings.
    """
    factors = (sizes.rows("users") + sizes.rows("items")) * config.als.rank * 4 if config.als else 0
    return (200 << 20) + 72 * sizes.rows(ratings) + 3 * factors


STAGE = Stage(
    "train-als",
    ALS.name,
    "flow",
    "emberline.factors.stage:run",
    reads=_reads,
    writes=_writes,
    memory=lambda config, sizes, cores: memory(config, sizes),
)
