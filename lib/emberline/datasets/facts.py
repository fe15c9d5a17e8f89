"""What a manifest's `info` says of a dataset: one frozen dataclass per noun, of which an info holds
one or several side by side.

A stage gives them when it announces parts (`Outputs.add`, `Outputs.finish`); who reads a dataset
gets them typed, by `Manifest.facts`. Their version is the manifest's `format`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from emberline.datasets import typed_json
from emberline.datasets.info import Facts
from emberline.datasets.kept_back import KEPT_BACK
from emberline.datasets.light import LightForm
from emberline.datasets.sketch import Sketch

History = list[dict[str, Any]]  # a row per epoch or iteration: names of measures, and numbers


@dataclass(frozen=True)
class Accounts(Facts):
    """How many raw rows were read, and what became of them, by outcome and by reason."""

    accounts: dict[str, int]
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PassedOver(Facts):
    """By a setting's path, the files that were not read, in words."""

    passed_over: dict[str, str]


@dataclass(frozen=True)
class Spellings(Facts):
    """How many spellings of ids were joined with another one's; of ratings by table."""

    joined: dict[str, int] | int


@dataclass(frozen=True)
class Indices(Facts):
    """The index that comes after all that were ever given."""

    next_index: int


@dataclass(frozen=True)
class Attributes(Facts):
    """The names of the numbers, categories and lists of an item or user, in their order."""

    numbers: list[str]
    categories: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class UnusableNumbers(Facts):
    """By the name of a number, in how many rows there is a text that is none."""

    unusable_numbers: dict[str, int]


@dataclass(frozen=True)
class Content(Facts):
    """What of that which is said of items counts: kernels by their weights; their regression's
    penalty; the area under the ROC curve on items left out; and what each modality has proved.
    """

    weights: dict[str, float]
    penalty: float
    area: float
    proofs: list[dict[str, Any]]


@dataclass(frozen=True)
class Compared(Facts):
    """What compares rows of attributes with landmarks: rows whose tokens were counted, kernels'
    weights, where numbers lie and how far apart, the mean, and what a network's factors count.
    """

    compared_rows: int
    kernel_weights: dict[str, float]
    middles: dict[str, float]
    deviations: dict[str, float]
    mean_factors: list[float]
    picture_weight: float
    picture_mean: list[float]


@dataclass(frozen=True)
class Calibrated(Facts):
    """What makes scores of new items compare with those of rated ones: slope, offset, steepness,
    and the centre (see `cf/content/calibration.py`); None where that could not be said.
    """

    score_line: list[float] | None = None
    score_centre: list[float] | None = None


@dataclass(frozen=True)
class Cleaned(Facts):
    """The section [ratings] by which ratings were cleaned, as split-ratings hands it on."""

    cleaning: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Holdout(Facts):
    """How ratings were withheld, and a sketch of the ratings that it was done with."""

    protocol: dict[str, Any]
    data: Sketch | None = None


@dataclass(frozen=True)
class Pictures(Facts):
    """The size of every picture."""

    height: int
    width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    @property
    def bytes(self) -> int:
        return self.height * self.width * self.channels


@dataclass(frozen=True)
class Channels(Facts):
    """The mean and standard deviation of each channel, as shares of full brightness, 0..1."""

    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class Spectrograms(Facts):
    """How sounds became pictures: their samples a second, how many seconds of each, the samples of
    a window and between two of them; level 255 is a sound's loudest place, and 0 is `decibels`
    below it.
    """

    rate: int
    sound_seconds: float
    window: int
    hop: int
    decibels: float


@dataclass(frozen=True)
class GivenSplits(Facts):
    """How many pictures the publisher gave to each split; none where it gave no splits."""

    splits: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Task(Facts):
    """What is to be learnt of the pictures."""

    task: Literal["class", "factors"]


@dataclass(frozen=True)
class RowGroups(Facts):
    """How many rows a row group has, but a part's last."""

    row_group_rows: int


@dataclass(frozen=True)
class Classes(Facts):
    """The names of classes, whose places are labels."""

    classes: list[str]


@dataclass(frozen=True)
class ClassCounts(Facts):
    """How many rows there are of each class."""

    class_counts: list[int]


@dataclass(frozen=True)
class Targets(Facts):
    """The mean and standard deviation of each component of the factors; None without any."""

    target_mean: list[float] | None
    target_std: list[float] | None


@dataclass(frozen=True)
class CnnTraining(Facts):
    """How a network's training went, epoch by epoch."""

    best_epoch: int
    history: History
    seconds: float


@dataclass(frozen=True)
class Exported(Facts):
    """A network's small forms, the network itself first, and what they are measured by: on so many
    pictures of a dataset.
    """

    measured_by: Literal["accuracy", "auc", "cosine"]
    measured_on: str
    measured_pictures: int
    forms: list[LightForm]

    def of(self, form: str) -> LightForm | None:
        """The form of that name; None where it was not asked for."""
        return next((each for each in self.forms if each.form == form), None)


@dataclass(frozen=True)
class Indexed(Facts):
    """Of which table an index finds items: the share of the `recall_at` best that it finds, the
    mean of so many users; None where none are published by whom to tell.
    """

    indexed_table: str
    index_recall: float | None
    recall_at: int
    recall_users: int


@dataclass(frozen=True)
class AlsTraining(Facts):
    """How ALS went, by iteration, and the parts of its loss at the end, None where not known."""

    history: History
    observed: float
    unobserved: float
    loss: float | None = None
    regularisation: float | None = None
    best_iteration: int | None = None


@dataclass(frozen=True)
class Values(Facts):
    """The mean and the deviation of the ratings that factors were fitted to."""

    value_mean: float
    value_deviation: float


@dataclass(frozen=True)
class Fitted(Facts):
    """What was made small (cf/als/objective.py): with their values, all that folding in takes."""

    implicit: bool
    reg_param: float
    reg_exponent: float
    alpha: float
    confidence: Literal["linear", "log", "exp"]
    unobserved_weight: float | None
    biases: bool
    nonnegative: bool


@dataclass(frozen=True)
class Quantized(Facts):
    """Which table these factors are, in fewer bytes."""

    quantized: str


@dataclass(frozen=True)
class Capped(Facts):
    """What a cap on ratings left out, and which share of the exact neighbours of some rows was
    found nevertheless.
    """

    ratings_left_out: int
    recall: float | None
    recall_rows: int


@dataclass(frozen=True)
class Forest(Facts):
    """The importance of each dimension of an embedding, and the forest's size."""

    importances: list[float]
    num_trees: int
    num_features: int


@dataclass(frozen=True)
class Shop(Facts):
    """That raw files are made up, and how many lines are dirty in which way."""

    generated: bool
    dirty_lines: dict[str, int]


@dataclass(frozen=True)
class Evaluation(Facts):
    """The reports of `metrics.json`."""

    reports: dict[str, Any]


@dataclass(frozen=True)
class PageFigures(Facts):
    """A report's own figures, and those of the one before it, for the next to compare with."""

    figures: dict[str, Any] | None
    before: dict[str, Any] | None


KINDS: tuple[type[Facts], ...] = tuple(dict.fromkeys([*Facts.__subclasses__(), *KEPT_BACK]))


def merged(given: Iterable[Facts]) -> dict[str, Any]:
    """Several facts as one `info`, each of whose fields is given once."""
    info: dict[str, Any] = {}
    for facts in given:
        said = facts.to_json()
        repeated = sorted(info.keys() & said.keys())
        assert not repeated, f"{', '.join(repeated)} was already given"
        info |= said
    return info


def check(info: Mapping[str, Any]) -> None:
    """Raises ValueError, which names the field, where a known fact is of another type."""
    for kind in KINDS:
        typed_json.check_known(kind, info, "info")
