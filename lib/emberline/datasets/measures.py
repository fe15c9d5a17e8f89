"""`metrics.json`: what an evaluation measured, checked where it is read, since it may come from
strangers.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from emberline.datasets import typed_json
from emberline.datasets.manifest import Dataset
from emberline.datasets.sketch import Sketch
from emberline.errors import ManifestError

FILE_NAME = "metrics.json"
COLD_ITEMS = "cold items"  # the report whose items are drawn again, too
UNITS = ("users", "items", "ratings", "pictures")  # one of which a row of metrics is over


@dataclass(frozen=True)
class Protocol:
    """How something was measured: two numbers compare under the same hash. `facts` say it in
    words and settings.
    """

    name: str
    hash: str
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Any, where: str = "protocol") -> Self:
        """Raises ValueError, which names the field, for what is none."""
        facts = dict(typed_json.build(dict[str, Any], content, where))
        named = {key: facts.pop(key) for key in ("name", "hash") if key in facts}
        return typed_json.build(cls, {**named, "facts": facts}, where)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads: the facts beside name and hash."""
        return {"name": self.name, "hash": self.hash, **self.facts}


@dataclass(frozen=True)
class Measured:
    """One metric of one model, over how many users, items, ratings or pictures. Its standard error
    is None where it is not known, and so is the interval that it lies in with a confidence of 95 %.
    """

    model: str
    metric: str
    value: float
    standard_error: float | None = None
    interval: list[float] | None = None
    users: int | None = None
    items: int | None = None
    ratings: int | None = None
    pictures: int | None = None
    answered_by_biases: int | None = None  # where a model that predicts ratings has no answer

    @classmethod
    def from_json(cls, content: Any, where: str = "row") -> Self:
        """Raises ValueError, which names the field, for what is none."""
        row = typed_json.build(cls, content, where)
        if not row.over:
            raise ValueError(f"{where}: expected one of {', '.join(UNITS)}")
        return row

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads; an error that is not known is null."""
        needed = ("model", "metric", "value", "standard_error")
        every = asdict(self)
        return {name: every[name] for name in every if name in needed or every[name] is not None}

    @property
    def over(self) -> dict[str, int]:
        """How many of what the metric is a mean over."""
        counts = {unit: getattr(self, unit) for unit in UNITS}
        return {unit: count for unit, count in counts.items() if count is not None}


@dataclass(frozen=True)
class Slice:
    """One metric of one model, of some of the users or items: what they are chosen `by`, and which
    they are.
    """

    by: str
    slice: str
    model: str
    metric: str
    value: float
    standard_error: float | None = None
    interval: list[float] | None = None
    users: int | None = None
    items: int | None = None
    ratings: int | None = None


@dataclass(frozen=True)
class Compared:
    """A metric of a model less that of another one, on the same users, items or pictures: the
    difference, the interval that it lies in with a confidence of 95 %, the p-value of a
    randomisation test, and the same adjusted for all comparisons of the report (Holm 1979).
    """

    model: str
    other: str
    metric: str
    difference: float
    interval: list[float] | None
    p: float
    adjusted: float


@dataclass(frozen=True)
class Report:
    """What one question was answered with. Of classes it has their names, how well each is
    recognised, and by model what was taken for what.
    """

    protocol: Protocol
    metrics: list[Measured]
    data: Sketch | None = None
    comparisons: list[Compared] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    per_class: list[dict[str, Any]] = field(default_factory=list)
    confusion: dict[str, list[list[int]]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Any, where: str = "report") -> Self:
        """Raises ValueError, which names the field, for what is none."""
        given = dict(typed_json.build(dict[str, Any], content, where))
        protocol = Protocol.from_json(given.pop("protocol", None), f"{where}.protocol")
        rows = typed_json.build(list[Any], given.pop("metrics", None), f"{where}.metrics")
        metrics = [
            Measured.from_json(row, f"{where}.metrics[{place}]") for place, row in enumerate(rows)
        ]
        rest = typed_json.build(_Rest, given, where)
        return cls(protocol, metrics, **vars(rest))

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads, without what there is none of."""
        rest = {
            "data": self.data and asdict(self.data),
            "comparisons": [asdict(row) for row in self.comparisons],
            "slices": [asdict(row) for row in self.slices],
            "classes": self.classes,
            "per_class": self.per_class,
            "confusion": self.confusion,
        }
        return {
            "protocol": self.protocol.to_json(),
            "metrics": [row.to_json() for row in self.metrics],
            **{name: value for name, value in rest.items() if value},
        }


@dataclass(frozen=True)
class _Rest:
    """What a report may have beside protocol and metrics."""

    data: Sketch | None = None
    comparisons: list[Compared] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    per_class: list[dict[str, Any]] = field(default_factory=list)
    confusion: dict[str, list[list[int]]] = field(default_factory=dict)


def drawn(report: str, row: Measured) -> str:
    """Over what, in words, a report's intervals and tests of a metric are: what it is a mean over
    and, where users share the items that nobody has rated, these as well.
    """
    over = " and ".join(row.over)
    return f"{over} and items" if report == COLD_ITEMS and over == "users" else over


Reports = Mapping[str, Report]  # by the question's name


def reports_of(metrics: Dataset) -> dict[str, Report]:
    """The reports of the dataset `metrics`, by name. Raises ManifestError for a file that is
    none of ours.
    """
    stage = metrics.manifest.produced_by.stage
    path = next((path for path in metrics.paths if path.name == FILE_NAME), None)
    if path is None:
        raise ManifestError(f"{metrics.folder} has no {FILE_NAME}; rerun {stage} with --force")
    try:
        content = typed_json.build(dict[str, Any], typed_json.read(path))
        return reports_in(content.get("reports"))
    except ValueError as error:
        raise ManifestError(
            f"{path} holds no metrics ({error}); rerun {stage} with --force"
        ) from error


def reports_in(content: Any) -> dict[str, Report]:
    """The reports of an object of JSON. Raises ValueError, which names the field, where they are
    not what an evaluation writes.
    """
    given = typed_json.build(dict[str, Any], content, "reports")
    return {name: Report.from_json(report, f"reports.{name}") for name, report in given.items()}
