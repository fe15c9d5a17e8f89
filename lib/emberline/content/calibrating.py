"""How likely new items are to be liked beside rated ones, tried on items in training: as if some
had never been rated, and a fifth of the ratings of all others were still to come.

For some users each, items of a fold of the sample are new: their ratings are taken out of the
user's history, and their factors are predicted by a regression that has not seen that fold. A fifth
of all other ratings of these users is taken out, too, and items' factors are solved once more
without it. Users are folded in from what is left, and what was taken out is what they like.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf.als.folding import Fixed
from emberline.cf.als.gramians import Grams
from emberline.cf.blocks import matrix_of
from emberline.cf.content import regression, tasks
from emberline.cf.content.calibration import Calibration, Pairs, calibrated
from emberline.cf.content.model import Nystrom
from emberline.cf.content.tasks import of_drawn
from emberline.cf.entries import Entries, places_in
from emberline.cf.ridge import Moments
from emberline.datasets.cleaned import has_ratings
from emberline.datasets.facts import Values
from emberline.datasets.rows import Task, among, through
from emberline.factors.fold_in import fold_in_items, gramian_of
from emberline.factors.purposes import objective_of
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import ALS
from emberline.numeric import hashing
from emberline.numeric.arrays import Bool, Float32, Int32, Int64
from emberline.runs.stage_run import StageRun
from emberline.scoring.sources import distinct
from emberline.sections.als import AlsConfig
from emberline.sections.content import ContentConfig

FOLDS = 5
_USERS, _ITEMS = 400, 4000  # that are tried, about, and rated items among which new ones stand
_AHEAD = 0.2  # of the ratings of an item in training
_RATED = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("value", pa.float32())])
_FACTORS = pa.schema([("item", pa.int32()), ("factors", pa.list_(pa.float32()))])


@dataclass(frozen=True)
class New:
    """Items in training (n,), ascending, that are taken for new; the factors that are predicted of
    each without its fold (n, rank); their folds (n,); and the mean that predictions are made from.
    """

    items: Int32
    predicted: Float32
    folds: Int64
    centre: Float32


def without_their_folds(rows: pa.RecordBatch, fit: Nystrom, whole: Moments, penalty: float) -> New:
    """Of a sample of tasks.KNOWN, whose moments are among those of the whole."""
    folds = np.arange(rows.num_rows) % FOLDS
    centre = regression.solve(whole, penalty)[-1].astype(np.float32)
    predicted = np.empty((rows.num_rows, len(centre)), np.float32)
    for fold in range(FOLDS):
        chosen = rows.filter(pa.array(folds == fold))
        if chosen.num_rows:
            left = regression.solve(whole.less(tasks.moments(chosen, fit)), penalty)
            predicted[folds == fold] = fit.fitted(left).predict(chosen)
    return New(rows["id"].to_numpy(), predicted, folds, centre)


@dataclass(frozen=True)
class _Kept:
    """The ratings of a source but for those of some users that are still to come."""

    source: Source
    share: float
    seed: int

    def count(self) -> int:
        return self.source.count()

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> Rows:
        names = ("user", "item", *(name for name in columns if name not in ("user", "item")))
        first = partial(_known, share=self.share, seed=self.seed, columns=tuple(columns))
        return self.source.map(names, partial(through, tasks=(first, task)), schema)


def _known(
    batches: Iterator[pa.RecordBatch], share: float, seed: int, columns: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        users, items = (batch.column(at).to_numpy() for at in range(2))
        drawn = hashing.below(hashing.of_ids(users, seed), share)
        taken = drawn & _is_ahead(users, items, seed)
        yield batch.filter(pa.array(~taken)).select(columns)


def _is_ahead(users: Int32, items: Int32, seed: int) -> Bool:
    """Whether each rating (n,) is still to come."""
    return hashing.below(hashing.of_pairs(users, items, seed + 1), _AHEAD)


def calibration(
    run: StageRun[ContentConfig], flow: Flow, new: New, seed: int
) -> Calibration | None:
    """What makes scores of new items compare; None where too little is liked to say."""
    users, items = (flow.read(run.inputs[name]) for name in ALS.lists)
    ratings = flow.read(run.inputs["ratings"])
    fitted = run.inputs[ALS.lists[0]].manifest
    settings = AlsConfig.model_validate(fitted.produced_by.config | {"iterations": 1})
    config = settings.for_lists(has_ratings(run.inputs["ratings"]))
    values = fitted.facts(Values)
    share = min(1.0, _USERS / max(1, users.count()))
    kept = _Kept(ratings, share, seed)
    solved = fold_in_items(flow, kept, users, config, values, run.outputs.scratch)
    table = ratings.map(_RATED.names, partial(of_drawn, share=share, seed=seed), _RATED).table()
    rated = Entries(*(table[name].to_numpy() for name in _RATED.names))
    some = _some(distinct(items, "item"), seed)
    wanted = np.union1d(some, rated.columns)
    found = solved.map(partial(among, place=0, ids=wanted), _FACTORS).table().sort_by("item")
    objective = replace(
        objective_of(config, True), mean=values.value_mean, deviation=values.value_deviation
    )
    gram = gramian_of(items, objective.width(config.rank))
    fixed = Fixed(Grams(gram, gram, items.count(), 0), objective, config.nonnegative)
    ids = found["item"].to_numpy()
    warm = _Warm(ids, matrix_of(found["factors"].combine_chunks(), len(ids)), np.isin(ids, some))
    folds = int(new.folds.max()) + 1
    every = [_tried(rated, warm, new, (fold, folds), fixed, seed) for fold in range(folds)]
    of_rated, of_new = (Pairs.joined([each[side] for each in every]) for side in range(2))
    return calibrated(of_rated, of_new, new.centre)


def _some(items: Int32, seed: int) -> Int32:
    """Some of the items (n,), by hash, ascending."""
    order = np.argsort(hashing.of_ids(items, seed), kind="stable")[:_ITEMS]
    return np.sort(items[order])


@dataclass(frozen=True)
class _Warm:
    """Rated items (n,), ascending, their factors (n, rank), and which of them compete (n,)."""

    items: Int32
    factors: Float32
    competes: Bool


def _tried(
    rated: Entries, warm: _Warm, new: New, fold: tuple[int, int], fixed: Fixed, seed: int
) -> tuple[Pairs, Pairs]:
    """Pairs of rated and of new items, of those users for whom the items of a fold, of so many, are
    new.
    """
    own = rated.take(rated.rows % fold[1] == fold[0])
    is_new = new.folds == fold[0]
    places = places_in(warm.items, own.columns)
    hidden = np.isin(own.columns, new.items[is_new]) | _is_ahead(own.rows, own.columns, seed)
    history = own.take(~hidden & (places >= 0))
    at = places_in(warm.items, history.columns).astype(np.int32)
    block = Entries(history.rows, at, history.values).block()
    if not len(block.ids):
        return _none(), _none()
    users = fixed.fold_in(block, fixed.inside(warm.factors)).astype(np.float64)
    competes = warm.competes & ~np.isin(warm.items, new.items[is_new])
    seen = _marked(block.ids, warm.items[competes], history)
    liked = _marked(block.ids, warm.items[competes], own.take(hidden))
    scores = users @ warm.factors[competes].T
    of_new = users @ (new.predicted[is_new] - new.centre).T
    liked_new = _marked(block.ids, new.items[is_new], own)
    return Pairs(scores[~seen], liked[~seen]), Pairs(of_new.ravel(), liked_new.ravel())


def _marked(users: Int32, items: Int32, pairs: Entries) -> Bool:
    """(users, items), both ascending: which are among the pairs."""
    rows, columns = places_in(users, pairs.rows), places_in(items, pairs.columns)
    known = (rows >= 0) & (columns >= 0)
    found = np.zeros((len(users), len(items)), bool)
    found[rows[known], columns[known]] = True
    return found


def _none() -> Pairs:
    return Pairs(np.empty(0, np.float64), np.empty(0, bool))
