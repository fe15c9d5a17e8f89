"""The stage evaluate: what was recommended and predicted against what was held out, beside trivial
answers to the same question.

Every metric stands under one protocol: which ratings were withheld, who is counted, which items
compete, what is relevant. The protocol is written out and hashed, so that two numbers can be
compared only if they measure the same thing.
"""

import json
from collections.abc import Mapping
from typing import Any

from emberline.cf.metrics import protocol
from emberline.datasets import typed_json
from emberline.datasets.cleaned import cleaning_of
from emberline.datasets.facts import Evaluation, Holdout
from emberline.datasets.measures import reports_in
from emberline.datasets.parts import write_file
from emberline.datasets.schema import TABLES
from emberline.evaluation import classes, cold, newcomers, protocols, ranking, rating_errors
from emberline.flow.rows import Flow, Source
from emberline.models import CONTENT_USER, MODELS
from emberline.numeric.arrays import Int32
from emberline.runs.stage_run import StageRun
from emberline.scoring.rated import Rated
from emberline.sections.evaluate import EvaluateConfig

Row = dict[str, Any]


def run(run: StageRun[EvaluateConfig], flow: Flow) -> None:
    """Measure what the pipeline recommends and predicts; write `metrics.json`."""
    tables = {name: flow.read(run.inputs[name]) for name in run.inputs if name in TABLES}
    reports: dict[str, Row] = {}
    if "holdout_recommendations" in tables:
        new = newcomers.newcomers(tables) if _withholds_users(run) else None
        reports["holdout"] = _holdout_report(run, flow, tables, new)
        if new is not None and len(new) and _lists_for_newcomers(run):
            reports["cold users"] = newcomers.report(run, flow, tables, new)
    if "baseline_factors" in tables:
        reports["cold items"] = cold.report(run, flow, tables)
    if any(name in tables for model in MODELS.values() for name in model.classes):
        reports["classes"] = classes.report(run, flow, tables)
    text = json.dumps({"reports": reports}, indent=1).encode()
    reports_in(typed_json.parse(text)["reports"])  # as readers will
    run.outputs.add(
        "metrics",
        [write_file(text, run.outputs.folder("metrics"), "metrics.json")],
        Evaluation(reports),
        seed=run.settings.seed,
    )
    run.outputs.measure(reports=reports)


def _withholds_users(run: StageRun[EvaluateConfig]) -> bool:
    """Whether users are withheld whole."""
    return bool(run.inputs["holdout"].manifest.facts(Holdout).protocol.get("cold_users"))


def _lists_for_newcomers(run: StageRun[EvaluateConfig]) -> bool:
    """Whether the lists that are measured are by a model that knows users without ratings."""
    made_from = run.inputs.produced_by("holdout_recommendations").inputs
    return any(name in made_from for name in CONTENT_USER.new_users)


def _holdout_report(
    run: StageRun[EvaluateConfig], flow: Flow, tables: Mapping[str, Source], new: Int32 | None
) -> Row:
    """Recommendations, and the predicted ratings of explicit feedback, against ratings held out
    of each user's history; lists of those who are `new` are not counted.
    """
    config = run.settings
    model = str(run.inputs.produced_by("holdout_recommendations").config["model"])
    counted = tables if new is None else newcomers.of_users(tables, new, others=True)
    rated = Rated(flow, tables, run.inputs.produced_by)
    cleaning = cleaning_of(run.inputs["ratings"])
    metrics = [
        *ranking.rows(flow, counted, model, config.k, config.relevant_from, config.seed),
        *rating_errors.rows(flow, tables, rated, config.damping, cleaning),
    ]
    return {"protocol": holdout_protocol(run), **protocols.data_of_ratings(run), "metrics": metrics}


def holdout_protocol(run: StageRun[EvaluateConfig]) -> Row:
    """How lists and predicted ratings are measured."""
    least = run.settings.relevant_from
    facts = protocols.of_ratings(run) | {
        "users": "those with a relevant held-out rating of an item that is not withheld whole"
        + (", but for users withheld whole" if _withholds_users(run) else ""),
        "candidates": "all items rated in training but those that the user rated in training",
        "relevant": "every held-out rating" if least is None else f"held-out value >= {least:g}",
    }
    made_from = run.inputs.produced_by("holdout_recommendations").inputs
    if any(name in made_from for model in MODELS.values() for name in model.new_items):
        facts["candidates"] += ", and items without ratings by their predicted factors"
    if "recommendable_items" in run.inputs:
        facts["items"] = (
            "only those that recommend.candidates and recommend.exclude leave are candidates, or"
            " relevant"
        )
    holdout = facts["holdout"]
    return protocol(f"{holdout['by']} holdout, seed {holdout['seed']}", facts)
