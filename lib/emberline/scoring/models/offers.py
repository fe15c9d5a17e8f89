"""What the module of a model offers, found by its name in the table of models."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from emberline.cf.content.calibration import Calibration
from emberline.datasets.info import Facts
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import Model
from emberline.numeric.arrays import Int32
from emberline.runs.stage_run import StageRun
from emberline.scoring.rated import Rated
from emberline.scoring.sources import Chosen
from emberline.sections.recommend import RecommendConfig


class Pieces(NamedTuple):
    """PIECES of users and of items whose product is a score, and what is `added` to it."""

    users: Rows
    items: Rows
    added: float = 0.0


@dataclass(frozen=True)
class Known:
    """What lists are made from: tables by name, whether the values of ratings are that, or else
    counts, some of which may be thousands of times as large as others; `wanted` makes PIECES of
    those whom lists are for; if given, the `items` (n,) that may be listed, ascending; how many
    users have to stand behind what is called popular; and by model of new items what makes its
    scores compare with those of rated ones.
    """

    tables: Mapping[str, Source]
    has_ratings: bool
    wanted: Callable[[], Rows]
    items: Int32 | None = None
    min_users: int = 1
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    def listed(self, name: str) -> Source:
        """The rows of a table, which has a column `item`, that may be listed."""
        table = self.tables[name]
        return table if self.items is None else Chosen(table, "item", self.items)


@dataclass(frozen=True)
class Table:
    """A table of a model, ready to be written: its rows, and what its manifest says of them."""

    name: str
    rows: Rows
    facts: tuple[Facts, ...] = ()
    rank: int | None = None
    seed: int | None = None


class ListModel(Protocol):
    """The module of a model that ranks items for users."""

    def pieces(self, known: Known) -> Pieces:
        """What the model scores items by."""

    def refit(self, run: StageRun[RecommendConfig], flow: Flow) -> Iterator[Table]:
        """The tables of the model's lists, of all interactions, by the settings of those that the
        run reads; each is to be written before the next is asked for.
        """


class RatingModel(Protocol):
    """The module of a model that predicts ratings."""

    def predict(self, pairs: Source, rated: Rated) -> Rows:
        """PREDICTED of those of the pairs (columns user and item) that it has an answer for."""


def pieces_of(model: Model, known: Known) -> Pieces:
    """What the model ranks items by."""
    return cast(ListModel, _module(model)).pieces(known)


def refit_of(model: Model, run: StageRun[RecommendConfig], flow: Flow) -> Iterator[Table]:
    """The tables of the model's lists, made once more, from all interactions."""
    return cast(ListModel, _module(model)).refit(run, flow)


def predictions_of(model: Model, pairs: Source, rated: Rated) -> Rows:
    """What the model says of pairs of users and items."""
    return cast(RatingModel, _module(model)).predict(pairs, rated)


def _module(model: Model) -> object:
    return import_module(f"emberline.scoring.models.{model.name.replace('-', '_')}")
