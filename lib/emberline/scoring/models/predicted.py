"""What the models that predict items' factors have in common."""

from functools import partial

import numpy as np

from emberline.cf.content.tasks import calibrate
from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_dense
from emberline.datasets.rows import Task, only, through
from emberline.models import ALS, Model
from emberline.scoring.models.offers import Known, Pieces
from emberline.scoring.sources import Chosen, distinct
from emberline.scoring.topk import COLUMNS_PER_BLOCK, user_pieces


def predicted_pieces(known: Known, model: Model, better: tuple[str, ...] = ()) -> Pieces:
    """Users' factors, and those that the model predicts of items without ratings, but for items
    that are in a `better` table, if that is known; calibrated where it is known how.
    """
    users, items = ALS.lists
    (table,) = model.new_items
    answered = [
        distinct(known.tables[name], "item") for name in (items, *better) if name in known.tables
    ]
    every = np.unique(np.concatenate(answered))
    unanswered = Chosen(known.listed(table), "item", every, others=True)
    scatter = partial(scatter_dense, block_size=COLUMNS_PER_BLOCK)
    tasks: tuple[Task, ...] = (partial(only, value=model.name), scatter)
    calibration, added = known.calibrations.get(model.name), 0.0
    if calibration is not None:
        tasks = (tasks[0], partial(calibrate, calibration=calibration), scatter)
        rated = len(distinct(known.listed(items), "item"))
        added = calibration.added(rated, len(distinct(unanswered, "item")))
    columns = ("item", "factors", "model")
    new = unanswered.map(columns, partial(through, tasks=tasks), PIECES)
    return Pieces(user_pieces(known.tables[users]), new, added)
