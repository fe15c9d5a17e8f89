"""The stage report: one HTML page about a run that opens anywhere, with nothing outside it.

The page is the same, byte for byte, for the same inputs.
"""

import importlib.resources
from dataclasses import dataclass

from jinja2 import Environment, FunctionLoader, StrictUndefined

from emberline.datasets import storage
from emberline.datasets.cleaned import has_ratings
from emberline.datasets.facts import PageFigures
from emberline.datasets.measures import reports_of
from emberline.datasets.parts import write_file
from emberline.report import (
    accounts,
    answers,
    classes,
    content,
    details,
    earlier,
    forms,
    gains,
    lineage,
    lists,
    made,
    measures,
    people,
    privacy,
    ratings,
    training,
)
from emberline.report.open import FILE, stable_path
from emberline.report.text import finished, moment, started
from emberline.runs.inputs import Inputs
from emberline.runs.stage_run import StageRun
from emberline.sections.report import ReportConfig

_SIZES = {
    "users": "Users",
    "items": "Items",
    "ratings": "Ratings in training",
    "images": "Pictures",
    "sounds": "Sounds",
}


@dataclass(frozen=True)
class Page:
    """What the page says; a section whose content is empty is not there."""

    title: str
    root: str
    is_generated: bool
    began: str
    took: str
    held: str
    sizes: list[tuple[str, int]]
    answers: list[answers.Answer]
    gains: list[gains.Gain]
    losses: list[str]
    accounts: list[accounts.Account]
    distribution: ratings.Distribution | None
    trainings: list[training.Training]
    forms: forms.Forms | None
    content: list[content.Content]
    measurements: list[measures.Measurement]
    differences: dict[str, list[details.Difference]]
    slices: dict[str, list[details.Sliced]]
    comparisons: dict[str, earlier.Comparison]
    classes: classes.Classes | None
    lists: lists.Lists | None
    people: list[people.Person]
    privacy: privacy.Privacy | None
    shows_hits: bool
    made: list[made.Made]
    sources: list[lineage.Source]

    @property
    def has_pictures(self) -> bool:
        """Whether any item that is shown has a picture; where none has, none is missed."""
        rated = [line.item for person in self.people for line in person.history]
        recommended = [line.item for person in self.people for line in person.recommendations]
        explained = [line.item for person in self.people for line in person.explained]
        return any(item.picture for item in (*rated, *recommended, *explained))

    @property
    def looks(self) -> bool:
        """Whether of any line it is shown which pixels speak for it."""
        return any(line.overlay for person in self.people for line in person.explained)

    @property
    def explains(self) -> bool:
        """Whether anybody's list is explained."""
        return any(person.explained for person in self.people)

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Anchor and title of each section that is there."""
        every = {
            ("data", "Data"): self.accounts,
            ("distribution", "Ratings"): self.distribution,
            ("training", "Training"): self.trainings,
            ("attributes", "Attributes"): self.content,
            ("metrics", "Metrics"): self.measurements,
            ("classes", "Classes"): self.classes,
            ("lists", "Lists"): self.lists,
            ("people", "People"): self.people,
            ("privacy", "Privacy"): self.privacy,
            ("made", "Settings"): self.made,
            ("lineage", "Lineage"): self.sources,
        }
        return [section for section, content in every.items() if content]


def run(run: StageRun[ReportConfig]) -> None:
    """Gather, render, and write `report.html`; once it is committed, also where it can be found
    without its run's id.
    """
    config = run.settings
    now, last = _figures(run)
    page = render(gather(run, config, last)).encode()
    part = write_file(page, run.outputs.folder("report"), FILE)
    run.outputs.add("report", [part], PageFigures(now, last), seed=config.seed)
    run.outputs.after_commit.append(
        lambda: storage.replace_file(stable_path(run.outputs.root), page)
    )


def _figures(run: StageRun[ReportConfig]) -> tuple[earlier.Figures | None, earlier.Figures | None]:
    """This run's figures, and those of the evaluation before it."""
    if "metrics" not in run.inputs:
        return None, None
    now = earlier.figures(run.inputs, reports_of(run.inputs["metrics"]))
    return now, earlier.before(run.outputs.root, now)


def gather(
    run: StageRun[ReportConfig], config: ReportConfig, last: earlier.Figures | None = None
) -> Page:
    """What there is to say of the run's inputs; `last` has the figures of the evaluation before."""
    inputs = run.inputs
    reports = reports_of(inputs["metrics"]) if "metrics" in inputs else {}
    runs = made.made(run.outputs.roots, run.config)
    shown = _people(run, config)
    comparisons = earlier.comparisons(run.outputs.root, inputs, reports, last)
    found = gains.gains(reports)
    took, held = made.total(runs, run.outputs.roots)
    return Page(
        title=config.title,
        root=run.outputs.root.name,
        is_generated=lineage.is_generated(inputs),
        began=moment(max(started(one.run_id) for one in runs)),
        took=took,
        held=held,
        sizes=_sizes(inputs),
        answers=answers.answers(found, comparisons, reports),
        gains=[gains.beside_last(gain, comparisons) for gain in found],
        losses=gains.losses(reports),
        accounts=accounts.accounts(inputs),
        distribution=_distribution(inputs),
        trainings=training.trainings(inputs),
        forms=forms.forms(inputs),
        content=content.content(inputs),
        measurements=measures.measurements(reports),
        differences=details.differences(reports),
        slices=details.slices(reports),
        comparisons=comparisons,
        classes=classes.classes(reports["classes"], inputs) if "classes" in reports else None,
        lists=_lists(inputs),
        people=shown,
        privacy=privacy.privacy(run.outputs.roots, run.config, shown),
        shows_hits="holdout_recommendations" in inputs,
        made=runs,
        sources=lineage.sources(inputs),
    )


def _distribution(inputs: Inputs) -> ratings.Distribution | None:
    if "ratings" not in inputs:
        return None
    return ratings.distribution(inputs["ratings"], inputs["items"].rows)


def _sizes(inputs: Inputs) -> list[tuple[str, int]]:
    return [(label, inputs[name].rows) for name, label in _SIZES.items() if name in inputs]


def _lists(inputs: Inputs) -> lists.Lists | None:
    if "recommendations" not in inputs:
        return None
    return lists.lists(inputs["recommendations"], inputs["interactions"])


def _people(run: StageRun[ReportConfig], config: ReportConfig) -> list[people.Person]:
    is_of_ratings = "ratings" in run.inputs and has_ratings(run.inputs["ratings"])
    return people.people(run.inputs, config.users, config.seed, is_of_ratings, run.config.min_users)


def render(page: Page) -> str:
    """The page's HTML."""
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        finalize=finished,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(page=page)


def _source(name: str) -> str:
    """The text of a template or style sheet, whether the package lies in a folder or in a zip."""
    return importlib.resources.files("emberline.report").joinpath(name).read_text(encoding="utf-8")
