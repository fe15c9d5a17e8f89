"""What the fits of train-als are for: lists, predicted ratings, or both."""

from collections.abc import Sequence
from dataclasses import dataclass

from emberline.cf.als.objective import Objective
from emberline.cf.als.packing import SIDES
from emberline.models import ALS
from emberline.sections.als import AlsConfig


@dataclass(frozen=True)
class Purpose:
    """What one fit of the stage is for, and what it is called: `tables` by side, `work` is
    where its state is kept.
    """

    implicit: bool
    config: AlsConfig
    tables: dict[str, str]
    work: str

    @property
    def objective(self) -> Objective:
        return objective_of(self.config, self.implicit)


def purposes(config: AlsConfig, has_ratings: bool, outputs: Sequence[str]) -> list[Purpose]:
    """The fits whose factors are among the outputs: for lists, for predicted ratings, or for both;
    `has_ratings` says that values are ratings, and not counts.
    """
    lists = {side: f"{side}_factors" for side in SIDES}
    ratings = {side: f"{side}_rating_factors" for side in SIDES}
    both = (
        Purpose(True, config.for_lists(has_ratings), lists, ALS.name),
        Purpose(False, config.for_ratings(), ratings, f"{ALS.name}-ratings"),
    )
    return [purpose for purpose in both if set(purpose.tables.values()) <= {*outputs}]


def objective_of(config: AlsConfig, implicit: bool) -> Objective:
    return Objective(
        implicit,
        config.reg_param,
        config.reg_exponent,
        config.alpha,
        "log" if config.confidence == "auto" else config.confidence,
        config.unobserved_weight,
        config.ratings.biases and not implicit,
    )
