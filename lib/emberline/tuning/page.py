"""A study as one HTML page that opens anywhere: what was found, how sure it is, and every trial."""

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.report.text import finished
from emberline.tuning import charts
from emberline.tuning.header import Header
from emberline.tuning.outcome import PAGE, Outcome, shown
from emberline.tuning.trial import Trial


@dataclass(frozen=True)
class Chart:
    """One chart, its title, and a note beside it."""

    title: str
    note: str
    svg: str


@dataclass(frozen=True)
class Page:
    """What the page says."""

    header: Header
    outcome: Outcome
    measured_by: str
    defaults: Mapping[str, Any]
    trials: Sequence[Trial]
    charts: Sequence[Chart]

    @property
    def best_first(self) -> list[Trial]:
        """The trials, complete ones by their value, and then the others."""
        sign = 1 if self.outcome.lower_is_better else -1

        def order(trial: Trial) -> tuple[bool, float, int]:
            return trial.value is None, sign * (trial.value or 0.0), trial.number

        return sorted(self.trials, key=order)


def write(
    study: Location,
    header: Header,
    found: Outcome,
    trials: Sequence[Trial],
    measured_by: str,
) -> None:
    """Draw, render, and put the page into the study's folder."""
    page = Page(
        header, found, measured_by, trials[0].parameters, trials, _charts(header, found, trials)
    )
    storage.replace_file(study / PAGE, _render(page).encode())


def _charts(header: Header, found: Outcome, trials: Sequence[Trial]) -> list[Chart]:
    less = "less is better" if found.lower_is_better else "more is better"
    drawn = [
        Chart("Trials", less, charts.history("Trials", trials, found.lower_is_better)),
        Chart(
            "What the best have in common",
            "each line is a trial",
            charts.parallel("Parameters of trials", trials, header.space, found.winner),
        ),
    ]
    if found.importances:
        title = "What matters"
        bars = charts.importances(title, found.importances)
        drawn.insert(1, Chart(title, "share, by PED-ANOVA", bars))
    return drawn


def _render(page: Page) -> str:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        finalize=finished,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("study.html.j2").render(page=page, shown=shown)


def _source(name: str) -> str:
    """The page's template, or the style sheet of all pages."""
    room = "emberline.report" if name.endswith(".css") else "emberline.tuning"
    return importlib.resources.files(room).joinpath(name).read_text(encoding="utf-8")
