"""A study's charts, in the style of the report's: numbers in, SVG out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from emberline.report import charts
from emberline.report.charts import ACCENT, GRID, MUTED, QUIET, SECOND
from emberline.tuning.space import Parameter, Space
from emberline.tuning.trial import Trial

_MARGIN = 0.06  # of an axis of parallel coordinates


def history(title: str, trials: Sequence[Trial], lower_is_better: bool) -> str:
    """The value of each trial, what those that were halted had reached, and the best so far."""

    def draw(axes: Axes) -> None:
        halted = [(trial.number, trial.rungs[-1].value) for trial in trials if _is_halted(trial)]
        ended = [(trial.number, trial.value) for trial in trials if trial.value is not None]
        best = np.minimum if lower_is_better else np.maximum
        if halted:
            places, reached = zip(*halted, strict=True)
            axes.scatter(places, reached, s=22, color=QUIET, label="halted")
        if ended:
            numbers, values = zip(*ended, strict=True)
            axes.scatter(numbers, values, s=26, color=SECOND, label="complete", zorder=3)
            axes.step(
                numbers, best.accumulate(values), where="post", color=ACCENT, label="best so far"
            )
        axes.legend(loc="best")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("trial")

    return charts.drawn(title, 2.5, draw)


def _is_halted(trial: Trial) -> bool:
    return trial.state == "halted" and bool(trial.rungs)


def importances(title: str, shares: Mapping[str, float]) -> str:
    """How much each parameter says, the most first."""
    tones = [SECOND] * len(shares)
    return charts.bars(title, list(shares), list(shares.values()), [None] * len(shares), tones)


def parallel(title: str, trials: Sequence[Trial], space: Space, winner: int) -> str:
    """A line for each complete trial through its values of all parameters, low at the bottom; the
    better, the darker, and the winner on top.
    """
    complete = [trial for trial in trials if trial.value is not None]

    def draw(axes: Axes) -> None:
        for trial in sorted(complete, key=lambda trial: trial.number == winner):
            heights = [_height(one, trial.parameters[one.name]) for one in space]
            is_winner = trial.number == winner
            axes.plot(
                range(len(space)),
                heights,
                color=ACCENT if is_winner else QUIET,
                linewidth=2.2 if is_winner else 1.0,
                label=f"trial {winner}" if is_winner else None,
                marker="o",
                markersize=3,
            )
        for place, one in enumerate(space):
            axes.axvline(place, color=GRID, linewidth=0.7, zorder=0)
            low, high = _ends(one)
            axes.text(place, -_MARGIN, low, ha="center", va="top", fontsize=8, color=MUTED)
            axes.text(place, 1 + _MARGIN, high, ha="center", fontsize=8, color=MUTED)
        names = [one.name.rpartition(".")[2].replace("_", "\n") for one in space]
        axes.set_xticks(range(len(space)), names)
        axes.set(yticks=[], ylim=(-3 * _MARGIN, 1 + 3 * _MARGIN))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)

    return charts.drawn(title, 2.7, draw)


def _height(one: Parameter, value: Any) -> float:
    """Between 0 and 1."""
    if one.choices is not None:
        if value not in one.choices:
            return float("nan")
        return one.choices.index(value) / (len(one.choices) - 1)
    low, high, at = (np.log(x) if one.log else x for x in (one.low, one.high, value or np.nan))
    return float((at - low) / (high - low))


def _ends(one: Parameter) -> tuple[str, str]:
    if one.choices is not None:
        return str(one.choices[0]), str(one.choices[-1])
    return f"{one.low:g}", f"{one.high:g}"
