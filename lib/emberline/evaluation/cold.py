"""How well items that nobody has rated are ranked, by the factors that models predict for them.

Only the withheld items compete with each other: those that every model of the pipeline has an
answer for, such as those with a picture. A user's score for one is the product of their factors;
where a baseline has none for an item, they are zeros. All else is the same for all models, for the
baselines beside them, and for `random`, which has no factors at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import measures, ranks
from emberline.cf.blocks import matrix_of
from emberline.cf.entries import PIECES
from emberline.cf.measures import BLOCKS, Named
from emberline.cf.metrics import protocol
from emberline.cf.pieces import scatter_sparse
from emberline.cf.ranks import RELEVANT, Candidates
from emberline.datasets import rows
from emberline.datasets.measures import COLD_ITEMS
from emberline.errors import EmptyDatasetError
from emberline.evaluation import permuted, protocols
from emberline.evaluation.found import Found, given_rows, joined, user_rows
from emberline.flow.rows import Flow, Rows, Shared, Source
from emberline.flow.sums import summed
from emberline.models import ALS, CNN, CONTENT, MODELS, RANDOM
from emberline.numeric.arrays import Float32, Float64, Int32
from emberline.runs.stage_run import StageRun
from emberline.scoring.sources import Chosen, Withheld, distinct
from emberline.scoring.topk import ROWS_PER_BLOCK, user_pieces
from emberline.sections.evaluate import EvaluateConfig

_FACTORS = pa.schema([("item", pa.int32()), ("factors", pa.list_(pa.float32()))])
REPORT = COLD_ITEMS
_NAMES = pa.schema([("model", pa.string())])
Row = dict[str, Any]
Tables = Mapping[str, Source]


def report(run: StageRun[EvaluateConfig], flow: Flow, tables: Tables) -> tuple[Row, Found]:
    """The protocol, and what each model is worth to each user, and of each item."""
    config = run.settings
    candidates = candidates_of(tables)
    rank = run.inputs[ALS.lists[0]].manifest.rank or 0
    asked = asked_of(flow, tables[ALS.lists[0]], tables["holdout"], config.relevant_from).kept()
    given = list(answers(tables, candidates, rank))
    measured = [
        measured_of(flow, asked, name, Candidates(candidates, factors), config.cold_k, config.seed)
        for name, factors in given
    ]
    asked.free()
    if not len(measured[0].shares) or not measured[0].shares.any():
        raise EmptyDatasetError(
            f"none of the {len(candidates)} {_kind(tables)} has a relevant rating; raise"
            " split.cold_items"
        )
    said = {"protocol": _protocol(run, tables, len(candidates)), **protocols.data_of_ratings(run)}
    found = found_of(flow, measured, candidates, config.cold_k)
    return said, replace(found, fixed=_beside_chance(run, tables, candidates, given))


def _beside_chance(
    run: StageRun[EvaluateConfig],
    tables: Tables,
    candidates: Int32,
    given: list[tuple[str, Float32]],
) -> list[Row]:
    """Of each model how far it is above what permuted items would give, where that can be said."""
    config = run.settings
    users, holdout = tables[ALS.lists[0]], tables["holdout"]
    judges = permuted.judges(users, holdout, candidates, config.relevant_from, config.seed)
    found = {name: judges.z(factors) for name, factors in given}
    return [
        {"model": name, "metric": permuted.METRIC, "value": z, "items": len(judges.places)}
        for name, z in found.items()
        if not np.isnan(z)
    ]


def candidates_of(tables: Tables) -> Int32:
    """The items (n,), ascending, withheld whole that compete: those that all models answer for."""
    cold = distinct(Withheld(tables["holdout"], cold=True), "item")
    for name in _predicted(tables):
        answered = distinct(tables[name], "item")
        # a model that has proved nothing has no answers at all
        cold = np.intersect1d(cold, answered) if len(answered) else cold
    return cold


def _predicted(tables: Tables) -> list[str]:
    """The tables of models, and not of baselines, that answer for new items."""
    names = (name for model in MODELS.values() if model.role == "model" for name in model.new_items)
    return [name for name in dict.fromkeys(names) if name in tables]


def _kind(tables: Tables) -> str:
    known = _what_is_known(tables)
    return f"cold items with {known}" if known else "cold items"


def _what_is_known(tables: Tables) -> str:
    """What items have to have to compete, in words."""
    words = {CONTENT: "attributes", CNN: "a picture"}
    return " and ".join(
        told for model, told in words.items() if all(name in tables for name in model.new_items)
    )


def _protocol(run: StageRun[EvaluateConfig], tables: Tables, num_candidates: int) -> Row:
    least = run.settings.relevant_from
    known = _what_is_known(tables)
    such = f" that have {known}" if known else ""
    facts = protocols.of_ratings(run) | {
        "users": "those with factors and a relevant rating of a candidate",
        "candidates": f"the items withheld whole{such}",
        "relevant": "every withheld rating" if least is None else f"withheld value >= {least:g}",
    }
    return protocol(f"{num_candidates} cold items among each other", facts)


def answers(tables: Tables, candidates: Int32, rank: int) -> Iterator[tuple[str, Float32]]:
    """Of every model of the tables, and of RANDOM, its name and what it predicts of the candidates:
    (n, rank), zeros where it has no answer.
    """
    yield RANDOM.name, np.zeros((len(candidates), rank), np.float32)
    names = dict.fromkeys(name for model in MODELS.values() for name in model.new_items)
    for table in (tables[name] for name in names if name in tables):
        models = table.map(("model",), rows.distinct, _NAMES).table()["model"]
        for model in sorted(pc.unique(models).to_pylist()):
            yield model, _factors(table, model, candidates, rank)


def _factors(table: Source, model: str, candidates: Int32, rank: int) -> Float32:
    task = partial(rows.only, value=model)
    found = Chosen(table, "item", candidates).map(("item", "factors", "model"), task, _FACTORS)
    answered = found.table()
    factors = np.zeros((len(candidates), rank), np.float32)
    places = np.searchsorted(candidates, answered["item"].to_numpy())
    factors[places] = matrix_of(answered["factors"].combine_chunks(), len(places))
    return factors


def asked_of(flow: Flow, users: Source, holdout: Source, relevant_from: float | None) -> Rows:
    """PIECES of users' factors, and of the items withheld whole that are relevant to them, by
    blocks.
    """
    relevant = Withheld(holdout, True, relevant_from)
    scatter = partial(scatter_sparse, block_size=ROWS_PER_BLOCK, kind=RELEVANT)
    pieces = user_pieces(users).union(relevant.map(("user", "item"), scatter, PIECES))
    return pieces.together(flow.parts, order=("block",))


@dataclass(frozen=True)
class Measured:
    """What a model is measured: kept measures.BLOCKS of users; and of each candidate its metrics,
    (n, metrics), NaN where it is relevant to nobody, and the share of the users that it stands for:
    (n,). `shared` is what the blocks are made from.
    """

    model: str
    blocks: Rows
    shared: Shared
    values: Float64
    shares: Float64


def measured_of(
    flow: Flow, asked: Rows, model: str, candidates: Candidates, ks: tuple[int, ...], seed: int
) -> Measured:
    """By what a model predicts of the candidates."""
    shared = flow.share(candidates)
    task = partial(ranks.measure, candidates=shared, ks=ks, seed=seed, number=0)
    blocks = asked.map(task, BLOCKS).kept()
    sums = summed(blocks, measures.sums_only)
    found = ranks.item_measures(sums, len(candidates.items), len(ranks.names_of(ks)))
    return Measured(model, blocks, shared, *found)


def found_of(
    flow: Flow, measured: Sequence[Measured], candidates: Int32, ks: tuple[int, ...]
) -> Found:
    """The model with the largest area under the ROC curve first."""
    ordered = sorted(measured, key=lambda each: (-_area(each), each.model))
    named = [Named(REPORT, (each.model,), tuple(ranks.names_of(ks))) for each in ordered]
    each = list(zip(ordered, named, strict=True))
    by_item = [
        measures.long_rows(of, own.model, "item", candidates, own.values, own.shares)
        for own, of in each
    ]
    return Found(
        told=named,
        over="users",
        users=joined([user_rows(own.blocks, of) for own, of in each]),
        items=given_rows(flow, by_item),
        of_items=named,
        blocks=[own.blocks for own in ordered],
        shared=[own.shared for own in ordered],
    )


def _area(measured: Measured) -> float:
    """Of items by their shares of the users, and so of users."""
    known = measured.shares > 0
    return float(np.average(measured.values[known, 0], weights=measured.shares[known]))
