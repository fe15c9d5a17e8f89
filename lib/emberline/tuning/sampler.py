"""What to try next: Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), asked and
told.

A study of Optuna's is made in memory whenever something is asked, from the trials that are known,
and each trial has a sampler of its own, seeded by the study's seed and its number: what is asked
depends on nothing else.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from emberline.tuning.space import Parameter, Space
from emberline.tuning.trial import Trial

_STATES = {
    "complete": TrialState.COMPLETE,
    "halted": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_DIGITS = 9  # of what is told: float rounding does not change what is asked
_LEAST = 8  # complete trials from which it is said what matters


def ask(
    trials: Iterable[Trial], space: Space, seed: int, numbers: Sequence[int], lower_is_better: bool
) -> list[dict[str, Any]]:
    """The parameters of the trials of these numbers, given those before them; those asked at once
    know of each other that they are at work.
    """
    study, found = _study(trials, space, lower_is_better), []
    for number in numbers:
        study.sampler = TPESampler(seed=_seed(seed, number))
        asked = study.ask({one.name: _distribution(one) for one in space})
        found.append({one.name: asked.params[one.name] for one in space})
    return found


def importances(trials: Iterable[Trial], space: Space, lower_is_better: bool) -> dict[str, float]:
    """How much of what is good about the best trials each parameter says (PED-ANOVA, Watanabe et
    al. 2023), the most first, summing up to 1; empty where too few trials are complete.
    """
    study = _study(trials, space, lower_is_better)
    if len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])) < _LEAST:
        return {}
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def _seed(seed: int, number: int) -> int:
    return (seed * 1_000_003 + number) % 2**31


def _study(trials: Iterable[Trial], space: Space, lower_is_better: bool) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize" if lower_is_better else "maximize")
    for trial in sorted(trials, key=lambda trial: trial.number):
        if all(one.has(trial.parameters[one.name]) for one in space):
            study.add_trial(_told(trial, space))
    return study


def _told(trial: Trial, space: Space) -> FrozenTrial:
    rungs = {rung.budget: round(rung.value, _DIGITS) for rung in trial.rungs}
    return optuna.trial.create_trial(
        state=_STATES[trial.state],
        value=None if trial.value is None else round(trial.value, _DIGITS),
        params=trial.parameters,
        distributions={one.name: _distribution(one) for one in space},
        intermediate_values=rungs,
    )


def _distribution(one: Parameter) -> BaseDistribution:
    if one.choices is not None:
        return CategoricalDistribution(one.choices)
    if one.is_integer:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)
