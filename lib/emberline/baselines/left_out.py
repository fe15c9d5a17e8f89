"""What `content` would say of new items if it did not know one of their columns: each left out in
turn, the rest fitted once more, with the landmarks, the penalty and the pictures that it has.
"""

from collections.abc import Mapping
from functools import partial

from emberline.cf import facts
from emberline.cf.content import fusion, leaving
from emberline.cf.content.fusion import NAMED
from emberline.cf.content.leaving import LeftOut
from emberline.cf.content.model import Pictures
from emberline.cf.content.regression import solve
from emberline.cf.content.tasks import ATTRIBUTES, SAID
from emberline.cf.plain import PREDICTED
from emberline.cf.ridge import Moments
from emberline.datasets.facts import Content
from emberline.datasets.rows import only, through
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.models import ALS, CNN, CONTENT, without
from emberline.runs.inputs import Inputs
from emberline.scoring import content_model
from emberline.scoring.beside import beside_factors


def left_out(flow: Flow, inputs: Inputs, tables: Mapping[str, Source]) -> Rows | None:
    """PREDICTED of items without factors, each way; None where the model knows one column at most,
    or has proved nothing.
    """
    landmarks, tokens = (inputs[name] for name in CONTENT.kept)
    if not landmarks.rows:
        return None
    model = content_model.read(flow, landmarks, tokens, "item")
    ways = LeftOut.of(model.likeness)
    if not ways.ways:
        return None
    known = _known(flow, tables).kept()
    shared = flow.share(ways)
    penalty = inputs[CONTENT.new_items[0]].manifest.facts(Content).penalty
    sums = summed(known, partial(leaving.sum_moments, left_out=shared))
    moments = (Moments.of_flat(sums[at], len(model.mean)) for at in range(len(ways.ways)))
    task = partial(
        leaving.predict,
        left_out=shared,
        weights=[solve(each, penalty) for each in moments],
        names=[without(way.name) for way in ways.ways],
        schema=PREDICTED,
    )
    found = known.map(task, PREDICTED)
    return _with_pictures(flow, found, tables, model.pictures) if model.pictures else found


def _known(flow: Flow, tables: Mapping[str, Source]) -> Rows:
    """tasks.KNOWN of the items."""
    task = partial(facts.as_facts, names=ATTRIBUTES, said=SAID)
    attributes = tables["item_attributes"]
    said = attributes.map(("item", *ATTRIBUTES), task, facts.facts_schema(SAID))
    return beside_factors(flow, said, tables[ALS.lists[1]], tables["ratings"], SAID)


def _with_pictures(
    flow: Flow, found: Rows, tables: Mapping[str, Source], pictures: Pictures
) -> Rows:
    """PREDICTED with what a network's answers add to them."""
    task = partial(through, tasks=(partial(only, value=CNN.name), fusion.as_named))
    seen = tables[CNN.new_items[0]].map(("item", "factors", "model"), task, NAMED)
    every = found.map(fusion.as_named, NAMED).union(seen).together(flow.parts)
    return every.map(partial(fusion.add_to_each, pictures=pictures, schema=PREDICTED), PREDICTED)
