"""What trials are measured by: the pipeline's validation, or where it has none, a part of what it
trains on, chosen as its holdout is.
"""

from typing import Any

from emberline.errors import ConfigError
from emberline.sections.split import SplitConfig
from emberline.tuning.aim import Aim

_SHARE = 0.2  # of the items, where the holdout does not say which share of them is withheld


def for_trials(split: SplitConfig, aim: Aim) -> dict[str, Any]:
    """The settings of [split] in which trials differ from the pipeline. Raises ConfigError where
    nobody can say what they are measured by.
    """
    if aim.question == "classes":
        return {}
    validation = {} if split.validates else _as_the_holdout(split)
    if aim.question == "cold items" and not split.validation.cold_items:
        validation["cold_items"] = _share_of_items(split)
    return {"measure_by": "validation", "validation": validation}


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


def told(split: SplitConfig, changed: dict[str, Any]) -> str:
    """What trials are measured by, in words."""
    if not changed:
        return "pictures for validation (val)"
    if split.validates and not changed["validation"]:
        return "what [split.validation] withholds"
    said = ", ".join(f"{key} = {value}" for key, value in changed["validation"].items())
    return f"a part of what is trained on, chosen as the holdout is ({said})"
