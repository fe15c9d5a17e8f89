"""What the fits of train-als are for: lists, predicted ratings, or both."""

from dataclasses import dataclass

from emberline.cf.als.objective import Objective
from emberline.cf.als.packing import SIDES
from emberline.sections.als import AlsConfig
from emberline.sections.config import Config


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


def purposes(config: Config) -> list[Purpose]:
    """The fits of a pipeline: for lists, for predicted ratings, or for both."""
    lists = Purpose(True, config.als_for_lists, {side: f"{side}_factors" for side in SIDES}, "als")
    ratings = Purpose(
        False,
        config.als_for_ratings,
        {side: f"{side}_rating_factors" for side in SIDES},
        "als-ratings",
    )
    wanted = {"lists": config.makes_lists_by_als, "ratings": config.predicts_ratings_by_als}
    return [purpose for name, purpose in (("lists", lists), ("ratings", ratings)) if wanted[name]]


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
