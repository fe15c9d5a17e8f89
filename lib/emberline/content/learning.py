"""What of that which is known counts, proved on a sample, and the weights of all, from sums over
everything.
"""

from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import dense_block, matrix_of
from emberline.cf.content import regression, selection, tasks
from emberline.cf.content.features import Statistics, features_of
from emberline.cf.content.kernels import blocks_of, kernel, mean_kernel
from emberline.cf.content.regression import Root
from emberline.cf.content.selection import Choice, Sample
from emberline.cf.content.tasks import Model
from emberline.cf.ridge import Moments
from emberline.flow.rows import Rows, Shared, Source
from emberline.flow.sums import summed
from emberline.numeric.arrays import Float64, Int64
from emberline.scoring.sources import Chosen

_USERS = 400  # by whose likes modalities are chosen, about
_LANDMARKS = 250  # of the sample
_LIKED = pa.schema([("user", pa.int32()), ("item", pa.int32())])
_FACTORS = pa.schema([("user", pa.int32()), ("factors", pa.list_(pa.float32()))])


def chosen(
    sample: pa.RecordBatch,
    users: Source,
    liked: Source,
    names: tuple[str, ...],
    known: Statistics,
    seed: int,
    threads: int,
) -> Choice:
    """Which kernels count, by what they do to the ranking of the sampled items."""
    rows = features_of(sample, names, known)
    blocks = blocks_of(known)
    kernels = {block.name: kernel(block.name, rows, rows, known) for block in blocks}
    share = min(1.0, _USERS / max(1, users.count()))
    draw = partial(tasks.of_drawn_users, share=share, seed=seed)
    found = users.map(("user", "factors"), draw, _FACTORS).table().sort_by("user")
    ids, items = found["user"].to_numpy(), sample["id"].to_numpy()
    of_users = dense_block(ids, matrix_of(found["factors"].combine_chunks(), len(ids)))
    pairs = Chosen(liked, "item", items).map(("user", "item"), draw, _LIKED).table()
    pairs = pairs.filter(pa.array(np.isin(pairs["user"].to_numpy(), ids)))
    return selection.choose(
        Sample(
            kernels,
            matrix_of(sample["factors"], len(items)),
            regression.weights_of(sample["ratings"].to_numpy().astype(np.float64)),
            _spread(len(items)),
            of_users,
            np.searchsorted(ids, pairs["user"].to_numpy()),
            np.searchsorted(items, pairs["item"].to_numpy()),
        ),
        blocks,
        seed,
        threads,
    )


def _spread(count: int) -> Int64:
    """Landmarks, evenly spread over a sample."""
    return np.unique(np.linspace(0, count - 1, min(count, _LANDMARKS)).astype(np.int64))


def model_of(
    landmarks: pa.RecordBatch, choice: Choice, names: tuple[str, ...], known: Statistics
) -> Model:
    """What makes features of being like the landmarks."""
    rows = features_of(landmarks, names, known)
    weights = dict.fromkeys(choice.blocks, 1.0)
    root = Root.of(mean_kernel(weights, rows, rows, known))
    return Model(names, known, rows, choice.blocks, root)


def weights_of(known: Rows, model: Shared, rank: int, penalty: float) -> Float64:
    """(k + 1, rank): what makes factors of features, by all items that have factors."""
    found = summed(known, partial(tasks.sum_moments, model=model))
    return regression.solve(Moments.of_flat(found[0], rank), penalty)
