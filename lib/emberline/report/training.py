"""How a model's training went, epoch by epoch or iteration by iteration."""

from collections.abc import Mapping
from dataclasses import dataclass

from emberline.datasets.facts import AlsTraining, CnnTraining, History
from emberline.datasets.manifest import Dataset
from emberline.models import CNN
from emberline.report import charts
from emberline.report.text import measure

_MODELS = {
    "user_factors": "Matrix factorisation (ALS)",
    "user_rating_factors": "Matrix factorisation (ALS) of predicted ratings",
    CNN.name: "Convolutional network",
}
_CURVES = {  # a chart's title, and the columns of a history that it shows
    "Loss": ("loss", "val_loss"),
    "Accuracy": ("accuracy", "val_accuracy"),
    "Error of predicted ratings (RMSE)": ("rmse",),
    "Area under the ROC curve": ("auc",),
    "Learning rate": ("learning_rate",),
}
_NAMES = {
    "loss": "training",
    "val_loss": "validation",
    "accuracy": "training",
    "val_accuracy": "validation",
    "rmse": "validation",
    "auc": "validation",
}
Told = CnnTraining | AlsTraining


@dataclass(frozen=True)
class Curve:
    """One chart."""

    title: str
    svg: str


@dataclass(frozen=True)
class Training:
    """One model's curves, and a sentence about them."""

    title: str
    sentence: str
    charts: list[Curve]


def trainings(inputs: Mapping[str, Dataset]) -> list[Training]:
    """The models whose manifests have a history."""
    found = ((title, _told(inputs[name])) for name, title in _MODELS.items() if name in inputs)
    return [_training(title, told) for title, told in found if told and told.history]


def _told(model: Dataset) -> Told | None:
    if model.name == CNN.name:
        return model.manifest.given(CnnTraining)
    return model.manifest.given(AlsTraining)


def _training(title: str, told: Told) -> Training:
    history = told.history
    best = told.best_epoch if isinstance(told, CnnTraining) else told.best_iteration
    drawn = []
    for name, wanted in _CURVES.items():
        series = {
            _NAMES.get(key, key): [row[key] for row in history]
            for key in wanted
            if all(key in row for row in history)
        }
        if series:
            svg = charts.lines(
                f"{title}: {name.lower()}",
                _unit(history),
                series,
                None if name == "Learning rate" else best,
            )
            drawn.append(Curve(name, svg))
    return Training(title, _sentence(best, told), drawn)


def _unit(history: History) -> str:
    """What a row of the history is of."""
    return "iteration" if "iteration" in history[0] else "epoch"


def _sentence(best: int | None, told: Told) -> str:
    history = told.history
    unit = _unit(history)
    parts = [f"{len(history):,} {unit}s"]
    chosen = next((row for row in history if row.get(unit) == best), None)
    if chosen and unit == "iteration":
        parts.append(f"the best is iteration {best}")
    if chosen and "val_loss" in chosen:
        parts.append(
            f"the best is epoch {best}, with a validation loss of {measure(chosen['val_loss'])}"
        )
    if chosen and "val_accuracy" in chosen:
        parts[-1] += f" and an accuracy of {measure(chosen['val_accuracy'])}"
    if isinstance(told, AlsTraining):
        parts.append(
            "the loss at the end is"
            f" {measure(told.observed + told.unobserved + (told.regularisation or 0.0))}"
        )
    if isinstance(told, CnnTraining):
        parts.append(f"{told.seconds:,.0f} s of training")
    return "; ".join(parts) + "."
