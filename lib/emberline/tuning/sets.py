"""What trials are measured by: the pipeline's validation, or where it has none, a part of what it
trains on, chosen as its holdout is.
"""

from typing import Any

from emberline.errors import ConfigError
from emberline.sections.config import Config
from emberline.sections.split import SplitConfig
from emberline.tuning.aim import Aim

_SHARE = 0.2  # of the items, where the holdout does not say which share of them is withheld


def for_trials(config: Config, aim: Aim) -> dict[str, dict[str, Any]]:
    """The settings, by section, in which trials differ from the pipeline. Raises ConfigError where
    nobody can say what they are measured by.
    """
    split = config.split
    if config.shards and config.shards.group and aim.question == "classes":
        raise ConfigError(
            "trials would be measured by items whose groups are trained on: [shards.group] and a"
            " study do not go together; compare settings by emberline evaluate --folds"
        )
    if aim.question == "classes" or split is None:
        return {"shards": {"measure_by": "validation"}}
    validation = {} if split.validates else _as_the_holdout(split)
    if aim.question == "cold items" and not split.validation.cold_items:
        validation["cold_items"] = _share_of_items(split)
    return {"split": {"measure_by": "validation", "validation": validation}}


def _as_the_holdout(split: SplitConfig) -> dict[str, Any]:
    if split.by == "fraction":
        return {"by": "fraction", "fraction": split.fraction}
    if split.by == "last":
        return {"by": "last", "n": split.n}
    if split.by == "time" and split.last_days is not None:
        return {"by": "time", "last_days": split.last_days}
    if split.by == "folds" and split.of != "items":
        return {"by": "fraction", "fraction": 1 / (split.folds or 5)}
    if split.by == "none" or (split.by == "folds" and split.of == "items"):
        return {}
    raise ConfigError(
        f'[split] by = "{split.by}" does not say what trials may be measured by: add a section'
        ' [split.validation], such as by = "fraction", fraction = 0.2'
    )


def _share_of_items(split: SplitConfig) -> float:
    if split.of == "items":
        return 1 / (split.folds or 5)
    return split.cold_items or _SHARE


def told(config: Config, changed: dict[str, dict[str, Any]]) -> str:
    """What trials are measured by, in words."""
    if "shards" in changed:
        share = config.shards.val if config.shards else 0.0
        return f"pictures drawn from those for training (a share of {share:g})"
    validation = changed["split"]["validation"]
    if not validation:
        return "what [split.validation] withholds"
    said = ", ".join(f"{key} = {value}" for key, value in validation.items())
    return f"a part of what is trained on, chosen as the holdout is ({said})"
