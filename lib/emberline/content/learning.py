"""What of that which is known counts, proved on a sample, and the weights of all, from sums over
everything.
"""

from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import dense_block, matrix_of
from emberline.cf.content import regression, selection, tasks
from emberline.cf.content.features import Statistics, features_of
from emberline.cf.content.kernels import blocks_of, kernel
from emberline.cf.content.model import Likeness, Nystrom
from emberline.cf.content.selection import Choice, Judges, Sample
from emberline.cf.ridge import Moments
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.numeric.arrays import Int32, Int64
from emberline.scoring.sources import Chosen

_OTHERS = 400  # of the other side, by whose likes modalities are chosen, about
_LANDMARKS = 250  # of the sample
_OTHER = {"item": "user", "user": "item"}


def chosen(
    side: str,
    sample: pa.RecordBatch,
    others: Source,
    liked: Source,
    known: Statistics,
    seed: int,
    threads: int,
) -> Choice:
    """Which kernels count, by what they do to the ranking of a sample of one side (item or user)
    by those of the other, whose factors `others` has.
    """
    seen = features_of(sample, known)
    blocks = blocks_of(known)
    kernels = {block.name: kernel(block.name, seen, seen, known) for block in blocks}
    return selection.choose(
        Sample(
            kernels,
            matrix_of(sample["factors"], sample.num_rows),
            regression.weights_of(sample["ratings"].to_numpy().astype(np.float64)),
            _spread(sample.num_rows),
            judges_of(side, sample["id"].to_numpy(), others, liked, seed),
        ),
        blocks,
        seed,
        threads,
    )


def judges_of(side: str, sampled: Int32, others: Source, liked: Source, seed: int) -> Judges:
    """Some of the other side, by what they like of a sample of one side, whose ids (n,) are
    ascending.
    """
    other = _OTHER[side]
    share = min(1.0, _OTHERS / max(1, others.count()))
    draw = partial(tasks.of_drawn, share=share, seed=seed)
    schema = pa.schema([(other, pa.int32()), ("factors", pa.list_(pa.float32()))])
    found = others.map((other, "factors"), draw, schema).table().sort_by(other)
    ids = found[other].to_numpy()
    of_others = dense_block(ids, matrix_of(found["factors"].combine_chunks(), len(ids)))
    liked_by = pa.schema([(other, pa.int32()), (side, pa.int32())])
    pairs = Chosen(liked, side, sampled).map((other, side), draw, liked_by).table()
    pairs = pairs.filter(pa.array(np.isin(pairs[other].to_numpy(), ids)))
    return Judges(
        of_others,
        np.searchsorted(ids, pairs[other].to_numpy()),
        np.searchsorted(sampled, pairs[side].to_numpy()),
    )


def _spread(count: int) -> Int64:
    """Landmarks, evenly spread over a sample."""
    return np.unique(np.linspace(0, count - 1, min(count, _LANDMARKS)).astype(np.int64))


def fit_of(landmarks: pa.RecordBatch, choice: Choice, known: Statistics) -> Nystrom:
    """What makes features of being like the landmarks."""
    rows = features_of(landmarks, known)
    return Nystrom.of(Likeness(known, rows, choice.weights))


def moments_of(flow: Flow, known: Rows, fit: Nystrom, rank: int) -> Moments:
    """Of all items that have factors."""
    shared = flow.share(fit)
    found = summed(known, partial(tasks.sum_moments, fit=shared))
    shared.destroy()
    return Moments.of_flat(found[0], rank)
