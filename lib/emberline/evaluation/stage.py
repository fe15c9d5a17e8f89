"""The stage evaluate: what was recommended and predicted against what was held out, beside trivial
answers to the same question.

Every metric stands under one protocol: which ratings were withheld, who is counted, which items
compete, what is relevant. The protocol is written out and hashed, so that two numbers can be
compared only if they measure the same thing.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from emberline.cf.metrics import protocol
from emberline.datasets import typed_json
from emberline.datasets.cleaned import cleaning_of
from emberline.datasets.facts import Attributes, Evaluation, Holdout
from emberline.datasets.measures import reports_in
from emberline.datasets.parts import write_file
from emberline.datasets.schema import TABLES
from emberline.evaluation import (
    classes,
    cold,
    leaks,
    mixed,
    newcomers,
    protocols,
    ranking,
    rating_errors,
    samples,
    slices,
)
from emberline.evaluation.found import Found, joined
from emberline.evaluation.ranking import Asked
from emberline.evaluation.slices import Grouping
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import CONTENT, CONTENT_USER, MODELS
from emberline.numeric.arrays import Int32
from emberline.runs.stage_run import StageRun
from emberline.scoring.rated import Rated
from emberline.sections.evaluate import EvaluateConfig
from emberline.sections.recommend import HOLDOUT_RECOMMENDABLE_ITEMS

REPORT = "holdout"
Row = dict[str, Any]
Answer = tuple[str, Row, list[Found]]  # a report's name, what it says besides, and its measures


def run(run: StageRun[EvaluateConfig], flow: Flow) -> None:
    """Measure what the pipeline recommends and predicts; write what each user and item is measured,
    and `metrics.json`, which is made from that.
    """
    tables = {name: flow.read(run.inputs[name]) for name in run.inputs if name in TABLES}
    if "ratings" in tables and "holdout" in tables:
        leaks.check(flow, tables["ratings"], tables["holdout"])
    answers = list(_answers(run, flow, tables))
    founds = [found for _, _, several in answers for found in several]
    measured = samples.Tables(
        _written(run, flow, "user_measures", joined([found.users for found in founds])),
        _written(run, flow, "item_measures", joined([found.items for found in founds])),
        run.settings.replicates,
        run.settings.seed,
    )
    for found in founds:
        found.free()
    reports = _reports(flow, answers, measured, _groupings(run, tables))
    text = json.dumps({"reports": reports}, indent=1).encode()
    reports_in(typed_json.parse(text)["reports"])  # as readers will
    run.outputs.add(
        "metrics",
        [write_file(text, run.outputs.folder("metrics"), "metrics.json")],
        Evaluation(reports),
        seed=run.settings.seed,
    )
    run.outputs.measure(reports=reports)


def _answers(
    run: StageRun[EvaluateConfig], flow: Flow, tables: Mapping[str, Source]
) -> Iterator[Answer]:
    if "holdout_recommendations" in tables:
        new = newcomers.newcomers(tables) if _withholds_users(run) else None
        yield REPORT, *_holdout_report(run, flow, tables, new)
        if _mixes_new_items(run):
            counted = tables if new is None else newcomers.of_users(tables, new, others=True)
            said, found = mixed.report(run, flow, counted)
            yield mixed.REPORT, said, [found]
        if new is not None and len(new) and _lists_for_newcomers(run):
            said, found = newcomers.report(run, flow, tables, new)
            yield newcomers.REPORT, said, [found]
    if "baseline_factors" in tables:
        said, found = cold.report(run, flow, tables)
        yield cold.REPORT, said, [found]
    if any(name in tables for model in MODELS.values() for name in model.classes):
        said, found = classes.report(run, flow, tables)
        yield classes.REPORT, said, [found]


def _written(run: StageRun[EvaluateConfig], flow: Flow, name: str, rows: Rows | None) -> Source:
    """A table of measures, written, and read again."""
    if rows is None:
        outputs.write_here(TABLES[name].empty_table(), run, name)
        return flow.read(run.outputs.written(name))
    return flow.read(outputs.write(rows, run, name, seed=run.settings.seed))


def _groupings(run: StageRun[EvaluateConfig], tables: Mapping[str, Source]) -> list[Grouping]:
    by = run.settings.slice_by
    numbers = run.inputs["user_attributes"].manifest.facts(Attributes).numbers if by else []
    return slices.groupings(tables, by, numbers)


def _reports(
    flow: Flow, answers: list[Answer], tables: samples.Tables, groupings: list[Grouping]
) -> dict[str, Row]:
    """What `metrics.json` says."""
    founds = [found for _, _, several in answers for found in several]
    found = tables.samples(
        flow,
        [key for each in founds for key in each.user_keys()],
        [key for each in founds for key in each.item_keys()],
    )
    return {
        report: said
        | {
            "metrics": [
                row for each in several for row in samples.metric_rows(report, each, found)
            ],
            "comparisons": samples.comparisons(report, found),
            "slices": slices.rows(flow, tables, report, several, groupings),
        }
        for report, said, several in answers
    }


def _withholds_users(run: StageRun[EvaluateConfig]) -> bool:
    """Whether users are withheld whole."""
    return bool(run.inputs["holdout"].manifest.facts(Holdout).protocol.get("cold_users"))


def _lists_for_newcomers(run: StageRun[EvaluateConfig]) -> bool:
    """Whether the lists that are measured are by a model that knows users without ratings."""
    made_from = run.inputs.produced_by("holdout_recommendations").inputs
    return any(name in made_from for name in CONTENT_USER.new_users)


def _mixes_new_items(run: StageRun[EvaluateConfig]) -> bool:
    """Whether items withheld whole compete in the lists that are measured, by calibrated scores."""
    lists = run.inputs.produced_by("holdout_recommendations")
    withholds = run.inputs["holdout"].manifest.facts(Holdout).protocol.get("cold_items")
    by_factors = any(name in lists.inputs for name in CONTENT.new_items)
    return bool(lists.config.get("calibrate") and withholds and by_factors)


def _holdout_report(
    run: StageRun[EvaluateConfig], flow: Flow, tables: Mapping[str, Source], new: Int32 | None
) -> tuple[Row, list[Found]]:
    """Recommendations, and the predicted ratings of explicit feedback, against ratings held out
    of each user's history; lists of those who are `new` are not counted.
    """
    config = run.settings
    model = str(run.inputs.produced_by("holdout_recommendations").config["model"])
    counted = tables if new is None else newcomers.of_users(tables, new, others=True)
    asked = Asked(REPORT, model, config.k, config.relevant_from, config.seed)
    rated = Rated(flow, tables, run.inputs.produced_by)
    cleaning = cleaning_of(run.inputs["ratings"])
    found = [
        ranking.lists(flow, counted, asked),
        rating_errors.errors(REPORT, flow, tables, rated, config.damping, cleaning),
    ]
    said = {"protocol": holdout_protocol(run), **protocols.data_of_ratings(run)}
    return said, [each for each in found if each is not None]


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
    if HOLDOUT_RECOMMENDABLE_ITEMS in run.inputs:
        facts["items"] = (
            "only those that recommend.candidates and recommend.exclude leave are candidates, or"
            " relevant"
        )
    holdout = facts["holdout"]
    return protocol(f"{holdout['by']} holdout, seed {holdout['seed']}", facts)
