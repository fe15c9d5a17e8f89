"""Reasons by what is said of items, and by what is known of users, for the places of lists that
are by it, wired on a flow: those of a list come to the factors of the other side, and with these
to what is said.
"""

from functools import partial
from typing import NamedTuple

from emberline.cf.content import explaining
from emberline.cf.content.explaining import ASKED
from emberline.cf.content.tasks import SAID
from emberline.cf.entries import PIECES
from emberline.cf.explaining import FOUND
from emberline.datasets.rows import only, through
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import ALS, CNN, CONTENT, CONTENT_USER, Model
from emberline.runs.inputs import Inputs
from emberline.scoring import content_model
from emberline.scoring.calibrations import calibrations_of_lists
from emberline.scoring.topk import ROWS_PER_BLOCK, dense_pieces


class Side(NamedTuple):
    """A side of which something is said: its `attributes`, the model that lists by it, and the
    `other` side with its table of factors.
    """

    name: str
    attributes: str
    model: Model
    other: str
    factors: str


SIDES = (
    Side(
        "item",
        "item_attributes",
        CONTENT,
        "user",
        ALS.lists[0],
    ),
    Side(
        "user",
        "user_attributes",
        CONTENT_USER,
        "item",
        ALS.lists[1],
    ),
)


def explained(
    flow: Flow, inputs: Inputs, side: Side, factors: Source, lists: Source, top: int
) -> Rows:
    """FOUND of the places that are by what is said of a side; factors: of the other one."""
    landmarks, tokens = (inputs[name] for name in side.model.kept)
    model = content_model.read(flow, landmarks, tokens, side.name)
    calibration = calibrations_of_lists(inputs).get(side.model.name)
    model = model if calibration is None else model.times(calibration.slope)
    own = partial(only, value=side.model.name)
    scatter = partial(explaining.scatter_pairs, block_size=ROWS_PER_BLOCK)
    pairs = lists.map(
        (side.other, side.name, "model"), partial(through, tasks=(own, scatter)), PIECES
    )
    pieces = dense_pieces(factors, side.other, ROWS_PER_BLOCK).union(pairs)
    asked = pieces.together(flow.parts, order=("block",)).map(explaining.beside_factors, ASKED)
    attributes = flow.read(inputs[side.attributes])
    said = attributes.map((side.name, *SAID.names), explaining.as_said, ASKED)
    if model.pictures:
        said = said.union(_seen(flow.read(inputs[CNN.new_items[0]])))
    together = asked.union(said).together(flow.parts)
    shared = flow.share(model)
    task = partial(explaining.explain, model=shared, is_of_items=side.name == "item", top=top)
    return together.map(task, FOUND)


def _seen(predicted: Source) -> Rows:
    """ASKED of what a network predicts from pictures."""
    task = partial(through, tasks=(partial(only, value=CNN.name), explaining.as_seen))
    return predicted.map(("item", "factors", "model"), task, ASKED)
