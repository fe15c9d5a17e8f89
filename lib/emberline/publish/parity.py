"""Small forms of a network: each has to be about as good as the network before it is published."""

from collections.abc import Sequence

from emberline.datasets.facts import Exported
from emberline.datasets.light import LightForm
from emberline.datasets.manifest import Dataset
from emberline.datasets.released import Measure, Verdict
from emberline.models import EXPORTED

_ALLOWED_BY = {
    "accuracy": "export.max_accuracy_loss",
    "auc": "export.max_auc_loss",
    "cosine": "export.max_distance",
}


def verdicts(datasets: Sequence[Dataset]) -> list[Verdict]:
    """Of each form that would be published, how much less its measure is than the network's."""
    return [
        Verdict(
            f"{EXPORTED}: {each.form} is as good as the network",
            each.loss,
            each.most,
            each.holds,
            "" if each.holds else _why(told, each),
        )
        for told in _told(datasets)
        for each in told.forms
    ]


def _why(told: Exported, form: LightForm) -> str:
    return (
        f"its {told.measured_by} is {form.loss:.4g} less on {told.measured_pictures:,} pictures,"
        f" {form.most:g} is allowed (leave it out of export.forms, or raise"
        f" export.calibration_pictures or {_ALLOWED_BY[told.measured_by]})"
    )


def measures(datasets: Sequence[Dataset]) -> dict[str, Measure]:
    """What gates may ask of the forms: `forms:int8.accuracy`, and its bytes and speed."""
    found: dict[str, Measure] = {}
    for told in _told(datasets):
        for each in told.forms:
            values = {
                told.measured_by: each.value,
                "bytes": float(each.bytes),
                "pictures_per_second": each.pictures_per_second,
            }
            found |= {f"forms:{each.form}.{name}": Measure(value) for name, value in values.items()}
    return found


def _told(datasets: Sequence[Dataset]) -> list[Exported]:
    return [each.manifest.facts(Exported) for each in datasets if each.name == EXPORTED]
