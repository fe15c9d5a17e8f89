"""The section [als]: alternating least squares."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from emberline.models import ALS
from emberline.sections.base import Positive, Section, Seed, place, where
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class RatingFactorsConfig(Section):
    """The fit that predicts ratings, beside the one that makes lists; what is not here is as in
    [als].

    With `biases`, a rating is predicted by the mean of all, a bias of the user, one of the item,
    and the product of their `rank` factors, else by that product alone.
    """

    rank: Positive = 32
    reg_param: Annotated[float, Field(ge=0)] = 0.1
    biases: bool = True


class AlsConfig(Section):
    """Alternating least squares.

    Lists are made by implicit feedback, which learns whom to show what, also where the values are
    ratings. Explicit feedback learns to predict ratings, and makes bad lists. `feedback = "auto"`
    is implicit and, where `value = "rating"` and there is an [evaluate] that measures predicted
    ratings, explicit besides, as [als.ratings] says; "implicit" and "explicit" are one alone.

    A row's regularisation is `reg_param * count ** reg_exponent`. The count is of its ratings, with
    implicit feedback of its positive ones, and with an `unobserved_weight` w of its ratings plus w
    times the rows of the other side; 0 scales nothing, 1 is MLlib's.

    Implicit feedback weighs a pair by 1 plus `alpha` times its `confidence`, where what was not
    observed weighs 1: the value ("linear"), the logarithm of 1 + value ("log"), or the exponential
    of how many standard deviations the value is above the mean of all ("exp"); "auto" is "exp" for
    ratings and "log" for counts. With an `unobserved_weight`, a pair weighs 1, and what was not
    observed weighs that.

    Each half-step takes `cg_steps` of conjugate gradients, or solves exactly by `cholesky`, or in
    one pass over blocks of `subspace` factors, which is the quickest for ranks of some hundreds.
    With `nonnegative`, factors are kept from being negative, exactly; but those that predict
    ratings only where these have no biases.

    A part of the ratings of `validation_users` users is withheld to measure each iteration by:
    explicit feedback by RMSE, implicit feedback by AUC. With `patience`, training ends after so
    many iterations without a better one, and the best one is kept.

    `start_from` begins at the factors of an earlier run: "previous" is this root's own, anything
    else is another root. With `iterations = 0` the items' factors stay as they were, and all users,
    new ones too, are folded in.

    Both sides' factors are sent to all workers (`exchange = "broadcast"`), or to each the rows that
    it needs (`"shuffle"`); "auto" does the first where the driver's memory allows it. Every
    `checkpoint_every` iterations, and at each best one, the state is stored, and a killed run goes
    on from there. `blocks` is into how many parts each side is cut.
    """

    feedback: Literal["auto", "explicit", "implicit"] = "auto"
    rank: Positive = 64
    iterations: Annotated[int, Field(ge=0)] = 10
    reg_param: Annotated[float, Field(ge=0)] = 0.2
    reg_exponent: Annotated[float, Field(ge=0)] = 1.0
    alpha: Annotated[float, Field(gt=0)] = 1.0
    confidence: Literal["auto", "linear", "log", "exp"] = "auto"
    unobserved_weight: Annotated[float, Field(gt=0)] | None = None
    ratings: RatingFactorsConfig = RatingFactorsConfig()
    nonnegative: bool = False
    solver: Literal["cg", "cholesky", "subspace"] = "cg"
    cg_steps: Positive = 2
    subspace: Positive = 32
    validation_users: Annotated[int, Field(ge=0)] = 0
    patience: Positive | None = None
    seed: Seed = 1
    start_from: str | None = place(None, "previous")
    exchange: Literal["auto", "broadcast", "shuffle"] = where("auto")
    blocks: Annotated[int, Field(gt=0, le=65536)] | None = where(None)
    checkpoint_every: Positive = where(5)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.patience and not self.validation_users:
            raise ValueError(
                "patience needs validation_users, by whose withheld ratings iterations are compared"
            )
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


STAGE = Stage(
    "train-als",
    ALS.name,
    "spark",
    "emberline.spark.als.stage:run",
    reads=lambda config: ("ratings",),
    writes=_writes,
)
