"""The stage report: one HTML page about a run that opens anywhere, with nothing outside it.

The page is the same, byte for byte, for the same inputs.
"""

import importlib.resources
import json
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from emberline.config import ReportConfig
from emberline.datasets.manifest import Dataset
from emberline.datasets.parts import write_file
from emberline.report import accounts, classes, lineage, measures, people, ratings, training
from emberline.report.text import finished
from emberline.runner import StageRun

_SIZES = {"users": "Users", "items": "Items", "ratings": "Ratings in training", "images": "Pictures"}


@dataclass(frozen=True)
class Content:
    """What the page says; a section whose content is empty is not there."""

    title: str
    root: str
    is_generated: bool
    steps: list[lineage.Step]
    sizes: list[tuple[str, int]]
    gains: list[measures.Gain]
    accounts: list[accounts.Account]
    distribution: ratings.Distribution | None
    trainings: list[training.Training]
    measurements: list[measures.Measurement]
    classes: classes.Classes | None
    people: list[people.Person]
    sources: list[lineage.Source]

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Anchor and title of each section that is there."""
        every = {
            ("data", "Data"): self.accounts,
            ("distribution", "Ratings"): self.distribution,
            ("training", "Training"): self.trainings,
            ("metrics", "Metrics"): self.measurements,
            ("classes", "Classes"): self.classes,
            ("people", "People"): self.people,
            ("lineage", "Lineage"): self.sources,
        }
        return [section for section, content in every.items() if content]


def run(run: StageRun) -> None:
    """Gather, render, and write `report.html`."""
    config: ReportConfig = run.settings
    html = render(gather(run, config))
    run.add("report", [write_file(html.encode(), run.folder("report"), "report.html")], seed=config.seed)


def gather(run: StageRun, config: ReportConfig) -> Content:
    """What there is to say of the run's inputs."""
    inputs = run.inputs
    reports = _reports(inputs["metrics"]) if "metrics" in inputs else {}
    return Content(
        title=config.title,
        root=run.root.name,
        is_generated=lineage.is_generated(inputs),
        steps=lineage.steps(inputs),
        sizes=[(label, inputs[name].rows) for name, label in _SIZES.items() if name in inputs],
        gains=measures.gains(reports),
        accounts=accounts.accounts(inputs),
        distribution=ratings.distribution(inputs["ratings"], inputs["items"].rows) if "ratings" in inputs else None,
        trainings=training.trainings(inputs),
        measurements=measures.measurements(reports),
        classes=classes.classes(reports["classes"], inputs) if "classes" in reports else None,
        people=people.people(inputs, config.users, config.seed, run.config.is_implicit),
        sources=lineage.sources(inputs),
    )


def render(content: Content) -> str:
    """The page's HTML."""
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        finalize=finished,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(page=content)


def _source(name: str) -> str:
    """The text of a template or style sheet, whether the package lies in a folder or in a zip."""
    return importlib.resources.files("emberline.report").joinpath(name).read_text(encoding="utf-8")


def _reports(metrics: Dataset) -> dict[str, Any]:
    path = next(path for path in metrics.paths if path.name == "metrics.json")
    reports: dict[str, Any] = json.loads(path.read_bytes())["reports"]
    return reports
