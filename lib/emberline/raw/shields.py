"""What stands between a run's raw rows and its tables."""

from typing import Any

from emberline.cleaning.forgotten import Forgotten
from emberline.cleaning.shield import Shield
from emberline.runs import keys, private
from emberline.runs.stage_run import StageRun


def shield_of(run: StageRun[Any]) -> Shield:
    """By the section [privacy], and by who was forgotten in the root. Raises ConfigError where
    the key is missing.
    """
    privacy = run.config.privacy
    forgotten = _forgotten(run)
    if privacy is None or not privacy.sides:
        return Shield(forgotten=forgotten)
    return Shield(keys.key_of(privacy), privacy.sides, privacy.raw, forgotten)


def reserved(run: StageRun[Any], side: str) -> frozenset[int]:
    """The indices of a side whose owners were forgotten: nobody gets them, and no id has them."""
    if side != "user":
        return frozenset()
    found = private.forgotten_in(run.outputs.roots)
    return frozenset(
        one.index for tombstones in found for one in tombstones.people if one.index is not None
    )


def _forgotten(run: StageRun[Any]) -> Forgotten:
    """In the root and in its base."""
    return Forgotten([one.until for one in private.forgotten_in(run.outputs.roots)])
