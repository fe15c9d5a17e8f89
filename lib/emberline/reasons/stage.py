"""The stage explain: for each place of the published lists, why the item is there.

Of lists by factors (`als`, and what is predicted of new items) the past events without which the
score would drop most, exactly (cf/reasons); of `item-neighbors` the past items that the score is
the sum of; of what is listed by what is said of it, or of the user, the modalities that the score
is the sum of, and the word of each that matters most (cf/content/reasons); of other models what
kind of reason it is: that people alike chose it, or that it is popular. An item that fewer users
have rated than `explain.min_support` is never named as a reason.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from emberline.cf import explaining
from emberline.cf.als.gramians import Grams
from emberline.cf.blocks import matrix_of
from emberline.cf.entries import PIECES
from emberline.cf.equations import Common
from emberline.cf.explaining import HISTORY, Factors, How
from emberline.cf.pieces import scatter_sparse
from emberline.cf.reason_kinds import POPULAR, SEGMENT
from emberline.datasets.cleaned import has_ratings
from emberline.datasets.facts import Values
from emberline.datasets.kept_back import TooFewUsers
from emberline.datasets.rows import only, unchanged
from emberline.datasets.schema import TABLES
from emberline.factors.purposes import objective_of
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import (
    ALS,
    CONTENT_USER,
    ITEM_NEIGHBORS,
    MODELS,
    POPULAR_IN_SEGMENT,
    outdating,
)
from emberline.models import POPULAR as MOST_RATED
from emberline.numeric.arrays import Bool, Float32, Int32
from emberline.reasons import attributes
from emberline.runs.stage_run import StageRun
from emberline.scoring.calibrations import calibrations_of_lists
from emberline.scoring.completion import popular
from emberline.scoring.topk import ROWS_PER_BLOCK
from emberline.sections.als import AlsConfig
from emberline.sections.explain import ExplainConfig

_FACTORS = pa.schema([("item", pa.int32()), ("factors", pa.list_(pa.float32()))])
_SIMILAR = pa.schema([("item", pa.int32()), ("neighbor", pa.int32()), ("similarity", pa.float32())])


def run(run: StageRun[ExplainConfig], flow: Flow) -> None:
    """Gather what lists were made of, explain them, and write."""
    tables = {name: flow.read(run.inputs[name]) for name in run.inputs if name in TABLES}
    history = tables.get("interactions", tables["ratings"])
    how = flow.share(_how(run, tables, history))
    pieces = _history(run, history).union(_listed(tables["recommendations"]))
    together = pieces.together(flow.parts, order=("block",))
    found = together.map(partial(explaining.explain, how=how), explaining.FOUND)
    for side in attributes.SIDES:
        landmarks = side.model.kept[0]
        if landmarks in run.inputs and run.inputs[landmarks].rows:
            factors = tables[_made_of(run, side.factors)]
            lists = tables["recommendations"]
            found = found.union(
                attributes.explained(flow, run.inputs, side, factors, lists, run.settings.top)
            )
    outputs.write(found, run, "reasons")
    if run.config.min_users > 1:
        rated = popular(history).items
        untold = int((~how.value.may_be_told[rated]).sum())
        least = max(run.settings.min_support, run.config.min_users)
        run.outputs.finish("reasons", TooFewUsers(least, len(rated), untold))
    how.destroy()


def _by(run: StageRun[ExplainConfig]) -> str:
    """The model that the lists were asked of."""
    return str(run.inputs.produced_by("recommendations").config["model"])


def _history(run: StageRun[ExplainConfig], history: Source) -> Rows:
    """PIECES of what each user has rated, as the model that makes the lists sees it."""
    damped = _by(run) != ALS.name and not has_ratings(run.inputs["ratings"])
    task = partial(scatter_sparse, block_size=ROWS_PER_BLOCK, kind=HISTORY, damped=damped)
    return history.map(("user", "item", "value"), task, PIECES)


def _listed(lists: Source) -> Rows:
    """PIECES of the places in lists, by the models that have them."""
    task = partial(explaining.scatter_listed, block_size=ROWS_PER_BLOCK)
    return lists.map(("user", "item", "model"), task, PIECES)


def _how(run: StageRun[ExplainConfig], tables: Mapping[str, Source], history: Source) -> How:
    counts = popular(history)
    support = np.zeros(int(counts.items.max(initial=-1)) + 1, np.int64)
    support[counts.items] = counts.counts
    factors, similarities = None, None
    scored: dict[str, Float32] = {}
    if _by(run) == ALS.name:
        factors, scored = _factors(run, tables)
    if _by(run) == ITEM_NEIGHBORS.name:
        (table,) = ITEM_NEIGHBORS.lists
        similarities = _similarities(tables[_made_of(run, table)], len(support))
    return How(
        run.settings.top,
        support >= max(run.settings.min_support, run.config.min_users),
        factors,
        scored,
        ITEM_NEIGHBORS.name,
        similarities,
        {MOST_RATED.name: POPULAR, POPULAR_IN_SEGMENT.name: SEGMENT},
        frozenset({CONTENT_USER.name}),
    )


def _made_of(run: StageRun[ExplainConfig], table: str) -> str:
    """The table that lists were made from: refitted to all interactions, or held to what is said
    of items, where they were.
    """
    return next((name for name in outdating(table) if name in run.inputs), table)


def _factors(
    run: StageRun[ExplainConfig], tables: Mapping[str, Source]
) -> tuple[Factors, dict[str, Float32]]:
    """The items' factors, and by model those that lists are scored by."""
    users, items = ALS.lists
    found = {ALS.name: _matrix(tables[_made_of(run, items)])}
    found |= {
        model.name: _matrix(tables[table], model.name)
        for model in MODELS.values()
        if model.role == "model"
        for table in model.new_items
        if table in tables
    }
    for name, calibration in calibrations_of_lists(run.inputs).items():
        matrix, answered = found[name]
        found[name] = calibration.factors(matrix), answered
    size = max(len(known) for _, known in found.values())
    scored = {name: _padded(matrix, size) for name, (matrix, _) in found.items()}
    known: Bool = _padded(found[ALS.name][1], size)
    trained = run.inputs[users].manifest
    settings = AlsConfig.model_validate(trained.produced_by.config | {"iterations": 1})
    values = run.inputs[_made_of(run, items)].manifest.facts(Values)
    objective = replace(
        objective_of(settings.for_lists(has_ratings(run.inputs["ratings"])), True),
        mean=values.value_mean,
        deviation=values.value_deviation,
    )
    own = scored[ALS.name]
    grams = Grams.of(own[known], np.ones(int(known.sum()), np.int64))
    return Factors(known, Common.of(own, grams, objective)), scored


def _matrix(table: Source, model: str | None = None) -> tuple[Float32, Bool]:
    """Factors (n, rank) by the items' indices, and which items have any (n,)."""
    columns = ("item", "factors") if model is None else ("item", "factors", "model")
    task = unchanged if model is None else partial(only, value=model)
    found = table.map(columns, task, _FACTORS).table().combine_chunks()
    items: Int32 = found["item"].to_numpy()
    factors = matrix_of(found["factors"].combine_chunks(), len(items))
    size = int(items.max(initial=-1)) + 1
    matrix, known = np.zeros((size, factors.shape[1]), np.float32), np.zeros(size, bool)
    matrix[items], known[items] = factors, True
    return matrix, known


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    """With zeros behind it."""
    return np.pad(array, [(0, size - len(array)), *[(0, 0)] * (array.ndim - 1)])


def _similarities(neighbors: Source, size: int) -> sp.csr_array:
    """(n, n): each item's neighbours."""
    found = neighbors.map(_SIMILAR.names, unchanged, _SIMILAR).table()
    items, others, values = (column.to_numpy() for column in found.columns)
    size = max(size, int(items.max(initial=-1)) + 1, int(others.max(initial=-1)) + 1)
    return sp.csr_array((values, (items, others)), shape=(size, size))
