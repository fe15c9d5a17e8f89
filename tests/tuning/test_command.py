"""What `emberline tune` and `emberline evaluate` print, and what they say of their findings."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from tests.tuning.conftest import write_pipeline

from emberline import pipelines
from emberline.cli import evaluate as evaluate_command
from emberline.cli import tune as tune_command
from emberline.folds.result import Result, Row
from emberline.sections.tracking import TrackingConfig
from emberline.tracking.notes import Notes
from emberline.tuning import design as designs
from emberline.tuning.design import Design, Options
from emberline.tuning.outcome import Difference, Figure, Outcome
from emberline.tuning.trial import Rung, Trial

Found = Callable[..., Outcome]


@pytest.fixture
def console() -> Console:
    return Console(width=130, file=io.StringIO(), markup=False, highlight=False)


def _shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def design(tmp_path: Path) -> Design:
    content = pipelines.content_of(write_pipeline(tmp_path))
    return designs.design(content, "small.toml", Options())


@pytest.fixture
def found() -> Found:
    """`found(winner, low, high, lower=False)`: what a study has found, whose winner differs from
    the defaults by what is in the middle.
    """

    def outcome(winner: int, low: float, high: float, lower: bool = False) -> Outcome:
        defaults, best = Figure(0.2, 0.25, 0.003), Figure(0.3, 0.31, None)
        difference = Difference((low + high) / 2, low, high) if low < high else None
        return Outcome(
            "ndcg@10", "als", lower, 9, winner, {"als.rank": 8}, defaults, best, difference, {}
        )

    return outcome


@pytest.mark.parametrize(
    ("winner", "low", "high", "lower", "said"),
    [
        (0, 0.0, 0.0, False, "the defaults are as good: no trial was better"),
        (3, -0.01, 0.03, False, "the defaults are as good: on the holdout the winner differs by "
         "+0.0100, 95 % interval -0.0100 to +0.0300, which includes zero"),
        (3, 0.01, 0.03, False, "the winner is better than the defaults on the holdout, by +0.0200"),
        (3, -0.03, -0.01, False, "the winner is worse than the defaults on the holdout, by -0.020"),
        (3, -0.03, -0.01, True, "the winner is better than the defaults on the holdout, by -0.020"),
        (3, 0.0, 0.0, False, "the defaults are as good, as far as can be told: the difference has"),
    ],
)  # fmt: skip
def test_the_verdict_is_what_the_interval_on_the_holdout_allows(
    found: Found, winner: int, low: float, high: float, lower: bool, said: str
) -> None:
    outcome = found(winner, low, high, lower)
    assert outcome.verdict.startswith(said)
    assert outcome.is_better == said.startswith("the winner is better")


def test_both_figures_stand_with_their_gap(console: Console, design: Design, found: Found) -> None:
    tune_command._show(console, design, found(3, 0.01, 0.03))
    lines = [line.split() for line in _shown(console).splitlines()]
    assert ["defaults", "0.2000", "0.2500", "±0.0030", "+0.0500"] in [line[:5] for line in lines]
    assert ["trial", "3", "0.3000", "0.3100", "+0.0100"] in [line[:5] for line in lines]


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        (Trial(0, {"a": 8}, "complete", 0.25, 0.01, [Rung(4, 0.2), Rung(9, 0.25)], 1.25),
         "[1/9] ndcg@10 0.2500  1.2 s  the defaults: a = 8"),
        (Trial(4, {"a": 0.123456, "b": "x"}, "halted", None, None, [Rung(4, 0.1)], 2.0),
         "[5/9] ndcg@10 0.1000 at 4, halted  2.0 s  a = 0.1235, b = x"),
        (Trial(5, {"a": 8}, "failed", None, None, [], 2.0, "the loss is\x1b[31m nan"),
         "[6/9] ndcg@10 failed  2.0 s  the loss is\\x1b[31m nan"),
    ],
)  # fmt: skip
def test_each_trial_is_a_line(console: Console, design: Design, trial: Trial, said: str) -> None:
    notes = Notes(TrackingConfig(), "study", lambda told: None)
    tune_command._Lines(console, design, notes).ended(trial, 9)
    assert _shown(console).strip() == said


def test_folds_stand_side_by_side(console: Console) -> None:
    rows = [Row("holdout", "als", "ndcg@10", 0.25, 0.0707, [0.2, 0.3])]
    rows += [Row("cold items", "content", "auc", 0.8, None, [0.8, None])]
    evaluate_command._show(console, Result("p.toml", "ratings", 2, {}, rows))
    shown = _shown(console)
    assert re.search(r"als +ndcg@10 +0.2500 +0.0707 +0.2000 +0.3000", shown)
    assert re.search(r"content +auc +0.8000 +0.8000 *\n", shown)
    assert "Measured on cold items, 2 folds of ratings" in shown
