"""The stage blend: factors of items that are held to what is said of them, and of users that are
held to what is known of them, as far as ratings leave it open.

    x of an item = argmin  what ALS makes small + content.prior |x - what train-content predicts|^2

and the users from those in the same way, with content.user_prior (`cf/als/objective.py` derives
both). An item of few ratings is near to what is said of it, one of many near to what they say.
Lists are made from these; the published ones from the same of all interactions, which refit does.
"""

from dataclasses import replace

from emberline.cf.als.packing import SIDES
from emberline.datasets.cleaned import has_ratings
from emberline.datasets.facts import Values
from emberline.factors import packing as rating_blocks
from emberline.factors import plan as als_plan
from emberline.factors.fit import exchange_of, published
from emberline.factors.purposes import objective_of
from emberline.flow import outputs
from emberline.flow.rows import Flow
from emberline.models import ALS, blended
from emberline.runs.stage_run import StageRun
from emberline.scoring.blending import blend, held_of, load
from emberline.sections.als import AlsConfig
from emberline.sections.content import ContentConfig


def run(run: StageRun[ContentConfig], flow: Flow) -> None:
    """Read what was trained, solve both sides, and write them."""
    trained = run.inputs[ALS.lists[0]].manifest
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
    load(exchange, flow, run.inputs, objective, config.rank)
    held = held_of(flow, run.inputs, run.settings.model_dump())
    blend(exchange, objective, config.rank, held)
    for side, table in zip(SIDES, ALS.lists, strict=True):
        rows = published(exchange.blocks(side), side, objective)
        outputs.write(rows, run, blended(table), values, rank=config.rank)
    exchange.close()
    packed.rows.free()
