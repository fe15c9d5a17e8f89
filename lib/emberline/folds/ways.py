"""How data are cut into folds, as settings of a pipeline file.

| `of` | fold n of K holds |
|---|---|
| `ratings` | a K-th of each user's ratings, by hash |
| `users` | a fifth of the ratings of a K-th of the users, whose others are trained on |
| `items` | every rating of a K-th of the items, which nothing is trained on |
| `time` | so many days, and what is later is in no set: the last fold ends with the newest rating |
| `pictures` | a K-th of the pictures, or of their groups |
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from emberline.errors import ConfigError
from emberline.models import ALS
from emberline.sections.config import Config
from emberline.sections.split import SplitConfig

Of = Literal["ratings", "users", "items", "time", "pictures"]
WAYS: tuple[Of, ...] = get_args(Of)
_KEPT = ("seed", "validation", "cold_items", "cold_users")  # of [split], whatever folds are of
_LEFT = ("report", "explain", "publish", "base")


def usual(config: Config) -> Of:
    """What folds are of, where nobody says: as the pipeline's own holdout is chosen."""
    if config.split is None:
        return "pictures"
    if config.split.by == "time":
        return "time"
    if config.split.by == "folds":
        return config.split.of
    return "ratings" if config.split.holds_out_ratings or config.recommend else "items"


def in_fold(
    content: Mapping[str, Any], config: Config, of: Of, folds: int, fold: int, days: float | None
) -> dict[str, Any]:
    """The pipeline whose holdout is this fold (from 1). Raises ConfigError where it has none."""
    kept = {key: value for key, value in content.items() if key not in _LEFT}
    if of == "pictures":
        return kept | {"shards": _pictures(config, kept, folds, fold)}
    if config.split is None:
        raise ConfigError(f"folds of {of} need ratings, and the pipeline has no section [ratings]")
    kept["split"] = _split(config.split, kept.get("split") or {}, of, folds, fold, days)
    if of == "items":
        kept.pop("recommend", None)
    return _without_a_warm_start(kept, config)


def _split(
    split: SplitConfig, given: Mapping[str, Any], of: Of, folds: int, fold: int, days: float | None
) -> dict[str, Any]:
    same = {key: given[key] for key in _KEPT if key in given}
    if of == "time":
        span = days or split.last_days
        if span is None:
            raise ConfigError("folds in time need to know how long one is: give --days")
        skipped = (folds - fold) * span
        more = {"skip_days": skipped} if skipped else {}
        return {**same, "by": "time", "last_days": span, **more}
    if of == "items":
        same.pop("cold_items", None)
    return {**same, "by": "folds", "of": of, "folds": folds, "fold": fold}


def _pictures(config: Config, content: Mapping[str, Any], folds: int, fold: int) -> dict[str, Any]:
    if config.shards is None or config.shards.task != "class":
        raise ConfigError('folds of pictures need shards.task = "class"; of factors, take items')
    given = _untested(content["shards"])
    if "group" in given:
        given["group"] = _untested(given["group"])
    return {**given, "folds": folds, "fold": fold}


def _untested(section: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is for testing, which folds say."""
    return {key: value for key, value in section.items() if key != "test"}


def _without_a_warm_start(content: dict[str, Any], config: Config) -> dict[str, Any]:
    """Factors that have seen all data would tell a fold what it is to be measured by."""
    if config.als is None or config.als.start_from is None:
        return content
    if not config.als.iterations:
        raise ConfigError(
            "als.iterations = 0 keeps factors that have seen all folds: set it higher"
        )
    als = {key: value for key, value in content[ALS.name].items() if key != "start_from"}
    return {**content, ALS.name: als}
