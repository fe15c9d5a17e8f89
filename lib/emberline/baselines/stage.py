"""The stage train-baselines: simpler answers than the models' to how items rank that nobody has
rated, each as factors of those items, and the bound that none can reach.

    mean-factors          the mean of the items in training: the same for all
    oracle                the factors that the withheld ratings themselves give, the users' being
                          as they are

where train-content predicts,

    content-without-...   what it would say if it did not know one of the columns

and, where the catalogue has pictures,

    neighbors-pixels      the mean factors of the ten items in training whose pictures are most
                          alike, averaged over squares
    neighbors-histogram   the same, alike by their colours
    linear-pixels         a ridge regression on the averaged pixels, its strength chosen on the
                          validation items
    linear-histogram      the same, on the square roots of the colours' shares
    kernel-histogram      the same, on how like these are to those of some items in training (see
                          cf/kernels)
"""

from collections.abc import Mapping
from functools import partial, reduce

import numpy as np
import pyarrow as pa

from emberline.baselines.left_out import left_out
from emberline.baselines.neighbors import neighbor_means
from emberline.baselines.oracle import oracle
from emberline.baselines.regression import regressed
from emberline.cf import facts, plain
from emberline.cf.plain import FACTORS, PREDICTED, SEEN
from emberline.datasets.facts import Pictures
from emberline.datasets.rows import through, unchanged
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.images import features
from emberline.models import (
    ALS,
    CONTENT,
    MEAN_FACTORS,
    NEIGHBORS_HISTOGRAM,
    NEIGHBORS_PIXELS,
    ORACLE,
)
from emberline.numeric.arrays import Float32
from emberline.runs.stage_run import StageRun
from emberline.scoring.beside import beside_factors
from emberline.scoring.sources import Withheld, distinct
from emberline.sections.evaluate import EvaluateConfig

PICTURES = "shards_all"
Tables = Mapping[str, Source]


def run(run: StageRun[EvaluateConfig], flow: Flow) -> None:
    """Fit each baseline and write the factors that it gives to the items withheld whole."""
    tables = {name: flow.read(run.inputs[name]) for name in run.inputs}
    rank = run.inputs[ALS.lists[1]].manifest.rank or 0
    if PICTURES in tables:
        known = _known(run, flow, tables).kept()
        answers = [_mean_of_known(known), *_by_pictures(known, rank)]
    else:
        answers = [_mean_of_all(flow, tables)]
    bound = oracle(run, flow, tables[ALS.lists[0]], tables["holdout"])
    if CONTENT.kept[0] in tables:
        without = left_out(flow, run.inputs, tables)
        answers += [] if without is None else [without]
    if bound is not None:
        answers.append(bound.map(partial(plain.called, model=ORACLE.name), PREDICTED))
    every = reduce(lambda some, more: some.union(more), answers)
    outputs.write(every, run, "baseline_factors", rank=rank)


def _known(run: StageRun[EvaluateConfig], flow: Flow, tables: Tables) -> Rows:
    """plain.KNOWN of the pictures that are for training, choosing or testing."""
    shape = run.inputs[PICTURES].manifest.facts(Pictures).shape
    see = partial(features.plain_features, shape=shape)
    as_facts = partial(facts.as_facts, names=tuple(SEEN.names), said=SEEN)
    task = partial(through, tasks=(see, as_facts))
    seen = tables[PICTURES].map(("item", "split", "pixels"), task, facts.facts_schema(SEEN))
    return beside_factors(flow, seen, tables[ALS.lists[1]], tables["ratings"], SEEN)


def _by_pictures(known: Rows, rank: int) -> list[Rows]:
    """PREDICTED, by pictures that are alike and by regressions on them."""
    return [
        neighbor_means(known, "pixel_direction", NEIGHBORS_PIXELS.name),
        neighbor_means(known, "colour_direction", NEIGHBORS_HISTOGRAM.name),
        regressed(known, rank),
    ]


def _mean_of_known(known: Rows) -> Rows:
    """PREDICTED: the mean of the items in training that have a picture."""
    give = partial(plain.give, factors=_mean(known), model=MEAN_FACTORS.name)
    return known.map(give, PREDICTED)


def _mean_of_all(flow: Flow, tables: Tables) -> Rows:
    """PREDICTED: the mean of all items in training."""
    items = distinct(Withheld(tables["holdout"], cold=True), "item")
    mean = _mean(tables[ALS.lists[1]].map(("item", "factors"), unchanged, FACTORS))
    give = partial(plain.give, factors=mean, model=MEAN_FACTORS.name)
    work = pa.table({"item": items})
    return flow.deal(work, np.full(len(items), mean.nbytes, np.float64)).map(give, PREDICTED)


def _mean(rows: Rows) -> Float32:
    (total,) = summed(rows, plain.sum_factors).values()
    mean: Float32 = (total[1:] / total[0]).astype(np.float32)
    return mean
