"""The stage blend: factors of users and items that are held to what is said of the items, as far as
ratings leave it open.

    x of an item = argmin  what ALS makes small + content.prior |x - what train-content predicts|^2

and the users once more from those (`cf/als/objective.py` derives both). An item of few ratings is
near to what is said of it, one of many near to what they say. Lists are made from these; the
published ones from the same of all interactions, which refit does.
"""

from dataclasses import replace

from emberline.cf.als.packing import SIDES
from emberline.datasets.cleaned import has_ratings
from emberline.datasets.facts import Values
from emberline.factors import packing as rating_blocks
from emberline.factors import plan as als_plan
from emberline.factors.earlier import published as earlier
from emberline.factors.fit import continued, exchange_of, published
from emberline.factors.purposes import objective_of
from emberline.flow import outputs
from emberline.flow.rows import Flow
from emberline.models import ALS, CONTENT, blended
from emberline.runs.stage_run import StageRun
from emberline.scoring.blending import blend
from emberline.sections.als import AlsConfig
from emberline.sections.content import ContentConfig


def run(run: StageRun[ContentConfig], flow: Flow) -> None:
    """Read what was trained, solve both sides, and write them."""
    users, items = ALS.lists
    trained = run.inputs[users].manifest
    settings = AlsConfig.model_validate(trained.produced_by.config | {"iterations": 1})
    config = settings.for_lists(has_ratings(run.inputs["ratings"]))
    values = trained.facts(Values)
    objective = replace(
        objective_of(config, True), mean=values.value_mean, deviation=values.value_deviation
    )
    ratings = flow.read(run.inputs["ratings"])
    plan = als_plan.choose(config, als_plan.measure(ratings, config.rank), flow)
    folder = run.outputs.scratch / "packed" if plan.exchange == "shuffle" else None
    packed = rating_blocks.pack(ratings, plan.blocks, folder)
    exchange = exchange_of(plan.exchange, packed, config.rank, run.outputs.scratch)
    before = earlier(flow, "user", run.inputs[users])
    exchange.load("user", continued(packed, "user", before, objective, config.rank))
    own, predicted = (flow.read(run.inputs[name]) for name in (items, *CONTENT.new_items))
    blend(exchange, objective, config.rank, own, predicted, run.settings.prior)
    for side, table in zip(SIDES, ALS.lists, strict=True):
        rows = published(exchange.blocks(side), side, objective)
        outputs.write(rows, run, blended(table), values, rank=config.rank)
    exchange.close()
    packed.rows.free()
