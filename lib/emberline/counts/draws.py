"""Draws of noise, and what they cost: when counts are drawn anew, and whether the budget of a root
still pays for it. What was spent is in the manifests of the counts, and goes from one to the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from emberline.datasets.kept_back import Budget
from emberline.errors import ConfigError
from emberline.sections.noise import NoiseConfig

_WHEN = ("budget", "every_days", "when_spent")  # what decides on a draw, and not on what is drawn
_ROUNDING = 1e-9  # of sums of epsilon


@dataclass(frozen=True)
class Before:
    """The last draw of a root: the section [privacy.noise] it was made by, and what all until then
    have cost; whether its counts may stay at all.
    """

    settings: Mapping[str, Any]
    spent: Budget
    may_stay: bool

    def stays(self, noise: NoiseConfig, now: datetime) -> bool:
        """Whether its counts are published again: it is not `every_days` ago, or when the budget
        is spent they are to be kept, and the settings are still the same.

        That counts have changed, or have not, does not count: that they stay would tell it.
        """
        if not self.may_stay or _what(self.settings) != _what(noise.what()):
            return False
        is_young = now - datetime.fromisoformat(self.spent.drawn) < timedelta(noise.every_days)
        return is_young or (noise.when_spent == "keep" and not self.pays(noise))

    def pays(self, noise: NoiseConfig) -> bool:
        """Whether the budget pays for another draw."""
        return self.spent.spent_epsilon + noise.epsilon <= noise.budget * (1 + _ROUNDING)


def _what(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _WHEN}


def check_budget(noise: NoiseConfig, before: Before | None) -> None:
    """Raises ConfigError where the budget does not pay for another draw."""
    if before is None or before.pays(noise):
        return
    spent = before.spent
    raise ConfigError(
        f"privacy.noise.budget = {noise.budget:g} is spent: {spent.draws} draws have cost"
        f" {spent.spent_epsilon:g}, the last on {spent.drawn[:10]}, and another one costs"
        f" {noise.epsilon:g}. The counts of that one stay published; raise the budget, which"
        ' protects less, set privacy.noise.when_spent = "keep", or leave out [privacy.noise]'
    )


def after(
    noise: NoiseConfig, before: Before | None, now: datetime, epsilon: float, delta: float
) -> Budget:
    """What has been spent with a draw that costs so much."""
    spent = before.spent if before else Budget(0, "", 0.0, 0.0, noise.budget)
    return Budget(
        spent.draws + 1,
        now.isoformat(timespec="seconds"),
        spent.spent_epsilon + epsilon,
        spent.spent_delta + delta,
        noise.budget,
    )
