"""One release, or root, as it is held in memory while requests are answered from it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline import extras
from emberline.cf.als.folding import Fixed
from emberline.cf.als.objective import Objective
from emberline.cf.blocks import matrix_of
from emberline.cf.content.calibration import Calibration
from emberline.cf.listing import Popular
from emberline.cf.quantized import Quantized
from emberline.datasets import manifest as manifests
from emberline.datasets.artifacts import content_of
from emberline.datasets.facts import Fitted, Values
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import whole
from emberline.datasets.schema import TABLES
from emberline.datasets.storage import Location
from emberline.errors import NotServedError
from emberline.models import (
    ALS,
    CONTENT,
    ITEM_INDEX,
    ITEM_NEIGHBORS,
    POPULAR,
    answering,
    outdating,
    quantized,
)
from emberline.nearest import Nearest
from emberline.numeric.arrays import Bool, Float32, Int32, UInt8
from emberline.serving.answers import Answers
from emberline.serving.by_factors import ByFactors, Scored
from emberline.serving.by_neighbors import ByNeighbors
from emberline.serving.calibrations import calibration_of
from emberline.serving.events import Valued
from emberline.serving.lists import Listed, Lists
from emberline.serving.names import Names, names_in, tables_in
from emberline.serving.outside_ids import OutsideIds
from emberline.serving.vectors import Exact, Vectors, chunks


@dataclass(frozen=True)
class Served:
    """What is in a place: ids, names, lists, what is popular, and what answers for events; or, as
    `lacks`, why nothing does.
    """

    place: Location
    users: OutsideIds
    items: OutsideIds
    names: Names
    lists: Lists
    popular: Popular
    valued: Valued
    cold_share: float
    answers: Answers | None
    lacks: str = ""

    @classmethod
    def load(cls, place: Location) -> Self:
        """Raises ManifestError where lists or ids are missing or do not belong together, DataError
        for a damaged part.
        """
        tables = {name: manifests.load(place, name) for name in ("users", "items")}
        manifests.check_same_run(tables.values())
        listed = manifests.load(place, "recommendations")
        known = {"user": tables_in(place, "user"), "item": tables_in(place, "item")}
        found = _Made(place, listed, tables["items"].manifest.produced_by.config)
        answers, lacks = found.answers_or_why_not()
        return cls(
            place,
            OutsideIds.of(known["user"], "user"),
            OutsideIds.of(known["item"], "item"),
            names_in(known["item"], "item"),
            Lists.of(listed),
            found.popular(),
            Valued.of(found.cleaning, found.mean()),
            float(found.config.get("cold_share", 0.0)),
            answers,
            lacks,
        )

    def needed(self) -> Answers:
        """What answers for events. Raises NotServedError where nothing does."""
        if self.answers is None:
            raise NotServedError(self.lacks)
        return self.answers

    def most_popular(self, k: int) -> list[Listed]:
        """What somebody gets of whom nothing is known."""
        rows = zip(self.popular.items[:k], self.popular.counts[:k], strict=True)
        return [
            Listed(rank, int(item), float(count), POPULAR.name)
            for rank, (item, count) in enumerate(rows, start=1)
        ]


@dataclass(frozen=True)
class _Made:
    """What lists were made of, as their manifest names it; `cleaning` is the section [ratings]."""

    place: Location
    lists: Dataset
    cleaning: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """The section [recommend]."""
        return self.lists.manifest.produced_by.config

    def table(self, name: str) -> Dataset:
        """A table that the lists were made of. Raises NotServedError where it is not there,
        ManifestError where another run wrote it.
        """
        few = quantized(name)
        called = few if few and manifests.exists(self.place, few) else name
        if not manifests.exists(self.place, called):
            raise NotServedError(
                f"this release has no {name}, by which its lists were made: publish it, too"
            )
        found = manifests.load(self.place, called)
        if name in self.lists.manifest.produced_by.inputs:
            manifests.check_made_from(self.lists, found, name)
        else:
            manifests.check_same_run([self.lists, found])
        return found

    def popular(self) -> Popular:
        if not manifests.exists(self.place, "popular_items"):
            return Popular.of(np.empty(0, np.int32), np.empty(0, np.int64))
        table = whole(self.table("popular_items"), ["item", "score"])
        return Popular.of(table["item"].to_numpy(), table["score"].to_numpy())

    def mean(self) -> float | None:
        """That of all ratings, where a fit says it."""
        if self.config.get("model") != ALS.name:
            return None
        with suppress(NotServedError):
            return self.table(self.made_of(ALS.lists[1])).manifest.facts(Values).value_mean
        return None

    def made_of(self, name: str) -> str:
        """The table that lists were made from: refitted to all interactions, or held to what is
        said of items, where they are.
        """
        made_from = self.lists.manifest.produced_by.inputs
        return next((better for better in outdating(name) if better in made_from), name)

    def answers_or_why_not(self) -> tuple[Answers | None, str]:
        model = self.config.get("model")
        make = _KINDS.get(str(model))
        if make is None:
            return None, f"lists by {model} need what everybody has done, which is not published"
        try:
            return make(self), ""
        except NotServedError as error:
            return None, str(error)

    def by_factors(self) -> Answers:
        own = self.table(self.made_of(ALS.lists[1]))
        fitted, values = own.manifest.facts(Fitted), own.manifest.facts(Values)
        items, vectors = _vectors(own)
        fixed = Fixed.of(chunks(vectors), objective_of(fitted, values), fitted.nonnegative)
        scored = [Scored(ALS.name, items, vectors, self.may_be_listed(items), self.nearest(own))]
        answered = items
        for model in answering("new_items", self.lists.manifest.produced_by.inputs):
            (name,) = model.new_items
            table = whole(self.table(name), ["item", "factors", "model"])
            items, factors = _matrix(table.filter(pc.equal(table["model"], model.name)))
            is_new = ~np.isin(items, answered)
            items, found = items[is_new], Exact(np.ascontiguousarray(factors[is_new]))
            allowed = self.may_be_listed(items)
            new = Scored(model.name, items, found, allowed)
            by = self.calibration(name)
            if by is not None and model is CONTENT:
                rated = int(scored[0].may_be_listed.sum())
                added = by.added(rated, int(allowed.sum()))
                new = replace(new, slope=by.slope, centre=by.centre, added=added)
            scored.append(new)
            answered = np.union1d(answered, table["item"].to_numpy())
        return ByFactors(fixed, scored)

    def nearest(self, own: Dataset) -> Nearest | None:
        """The index of a table of items' factors, where it was published and can be read. Raises
        ManifestError where it is another's, or was altered.
        """
        if not (manifests.exists(self.place, ITEM_INDEX) and extras.INDEX.is_here()):
            return None
        found = manifests.load(self.place, ITEM_INDEX)
        manifests.check_same_run([own, found])
        return Nearest.restored(content_of(found, found.paths[0].name))

    def calibration(self, name: str) -> Calibration | None:
        """By which lists were made."""
        is_wanted = bool(self.config.get("calibrate", False))
        return calibration_of(self.table(name).manifest) if is_wanted else None

    def by_neighbors(self) -> Answers:
        table = whole(
            self.table(self.made_of(ITEM_NEIGHBORS.lists[0])), ["item", "neighbor", "similarity"]
        )
        items, neighbors, similarities = (column.to_numpy() for column in table.columns)
        damped = self.cleaning.get("value") != "rating"
        return ByNeighbors(items, neighbors, similarities, self.allowed(), damped)

    def may_be_listed(self, items: Int32) -> Bool:
        """Which of some items (n,) may be recommended."""
        allowed = self.allowed()
        return np.ones(len(items), bool) if allowed is None else np.isin(items, allowed)

    def allowed(self) -> Int32 | None:
        """The items (n,) that may be recommended; None for all."""
        if self.config.get("candidates") is None and self.config.get("exclude") is None:
            return None
        found: Int32 = whole(self.table("recommendable_items"), ["item"])["item"].to_numpy()
        return found


_KINDS: dict[str, Callable[[_Made], Answers]] = {
    ALS.name: _Made.by_factors,
    ITEM_NEIGHBORS.name: _Made.by_neighbors,
}


def objective_of(fitted: Fitted, values: Values) -> Objective:
    """What a manifest says that a fit made small."""
    return Objective(
        fitted.implicit,
        fitted.reg_param,
        fitted.reg_exponent,
        fitted.alpha,
        fitted.confidence,
        fitted.unobserved_weight,
        fitted.biases,
        values.value_mean,
        values.value_deviation,
    )


def _vectors(dataset: Dataset) -> tuple[Int32, Vectors]:
    """Items (n,), ascending, and their factors, as a table has them."""
    if "factors" in TABLES[dataset.name].names:
        items, factors = _matrix(whole(dataset, ["item", "factors"]))
        return items, Exact(factors)
    table = whole(dataset, TABLES[dataset.name].names).sort_by("item")
    codes, rest = (_bytes(table[name], len(table)) for name in ("codes", "rest"))
    few = Quantized(table["scale"].to_numpy(), codes.view(np.int8), rest)
    return table["item"].to_numpy(), few


def _bytes(column: pa.ChunkedArray, rows: int) -> UInt8:
    """Values of one length d, as (n, d)."""
    joined: UInt8 = np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(rows, -1)
    return joined


def _matrix(table: pa.Table) -> tuple[Int32, Float32]:
    """Items (n,), ascending, and their factors (n, rank)."""
    ordered = table.sort_by("item").combine_chunks()
    items: Int32 = ordered["item"].to_numpy()
    lists = ordered["factors"]
    whole_column = lists.chunk(0) if lists.num_chunks else pa.array([], lists.type)
    return items, matrix_of(whole_column, len(items))
