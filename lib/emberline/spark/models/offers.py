"""What the module of a model offers, found by its name in the table of models."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from pyspark.sql import DataFrame

from emberline.datasets.facts import Facts
from emberline.flow.rows import Flow, Rows
from emberline.models import Model
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import RecommendConfig
from emberline.spark.candidates import within
from emberline.spark.rated import Rated
from emberline.spark.scan import Scan

_SEMI = "left_semi"
Pieces = tuple[DataFrame, DataFrame]


@dataclass(frozen=True)
class Known:
    """What lists are made from: tables by name, whether the values of ratings are that, or else
    counts, some of which may be thousands of times as large as others; and, if given, the `items`
    that may be listed (column item), and the `users` whom lists are for (column user).
    """

    tables: Mapping[str, Scan]
    has_ratings: bool
    items: DataFrame | None = None
    users: DataFrame | None = None

    def listed(self, name: str) -> Scan:
        """The rows of a table whose item may be listed."""
        return within(self.tables[name], self.items)

    def of_users(self, name: str) -> Scan:
        """The rows of a table whose user gets a list."""
        table = self.tables[name]
        return (
            table if self.users is None else Scan(table.frame.join(self.users, "user", "left_semi"))
        )


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
        """PIECES of users and of items whose product is the model's score."""

    def refit(self, run: StageRun[RecommendConfig], flow: Flow) -> Iterator[Table]:
        """The tables of the model's lists, of all interactions, by the settings of those that the
        run reads; each is to be written before the next is asked for.
        """


class RatingModel(Protocol):
    """The module of a model that predicts ratings."""

    def predict(self, pairs: DataFrame, rated: Rated) -> DataFrame:
        """Columns user, item and predicted, of those of the pairs (user, item) that it has an
        answer for.
        """


def pieces_of(model: Model, known: Known) -> Pieces:
    """What the model ranks items by."""
    return cast(ListModel, _module(model)).pieces(known)


def refit_of(model: Model, run: StageRun[RecommendConfig], flow: Flow) -> Iterator[Table]:
    """The tables of the model's lists, made once more, from all interactions."""
    return cast(ListModel, _module(model)).refit(run, flow)


def predictions_of(model: Model, pairs: DataFrame, rated: Rated) -> DataFrame:
    """What the model says of pairs of users and items."""
    return cast(RatingModel, _module(model)).predict(pairs, rated)


def _module(model: Model) -> object:
    return import_module(f"emberline.spark.models.{model.name.replace('-', '_')}")


def answering(models: Iterable[Model], question: str, tables: Mapping[str, object]) -> list[Model]:
    """Those of the models, no baselines, that answer a question (`lists`, `ratings`, `new_items`)
    from tables that are there.
    """
    return [
        model
        for model in models
        if model.role == "model"
        and (wanted := getattr(model, question))
        and all(name in tables for name in wanted)
    ]
