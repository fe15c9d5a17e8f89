"""The network in small forms: how good, how large and how quick each is."""

from dataclasses import dataclass

from emberline.datasets.facts import Exported
from emberline.datasets.light import LightForm
from emberline.models import EXPORTED
from emberline.runs.inputs import Inputs

_NAMES = {
    "accuracy": "Accuracy",
    "auc": "AUC of cold items",
    "cosine": "Cosine to the network's factors",
}


@dataclass(frozen=True)
class Line:
    """A form; its bytes and its speed also beside the network in float32 of LiteRT, if that is
    there.
    """

    form: str
    file: str
    value: str
    loss: str
    size: str
    speed: str
    verdict: str


@dataclass(frozen=True)
class Forms:
    """What forms are measured by, on how many pictures, and a line each."""

    measured_by: str
    pictures: int
    lines: list[Line]


def forms(inputs: Inputs) -> Forms | None:
    """As the manifest of the exported model has it; None where nothing was exported."""
    if EXPORTED not in inputs:
        return None
    told = inputs[EXPORTED].manifest.facts(Exported)
    exact = told.of("float32")
    lines = [_line(each, exact) for each in told.forms]
    name = _NAMES[told.measured_by]
    return Forms(name, told.measured_pictures, lines)


def _line(form: LightForm, exact: LightForm | None) -> Line:
    size, speed = f"{form.bytes:,}", f"{form.pictures_per_second:,.0f}"
    if exact and form.form not in ("keras", exact.form):
        size += f" ({form.bytes / exact.bytes:.0%})"
        speed += f" ({form.pictures_per_second / exact.pictures_per_second:.1f}x)"
    verdict = "" if form.form == "keras" else "ok" if form.holds else "loses too much"
    return Line(
        form.form, form.file, f"{form.value:.4f}", f"{form.loss:+.4f}", size, speed, verdict
    )
