"""How well lists suit in which items that nobody has rated stand beside rated ones: what is liked
of both counts, and whether lists hold as many new items as there are among it.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow.compute as pc

from emberline.cf.metrics import protocol
from emberline.datasets.rows import COUNTED, counted
from emberline.evaluation import protocols, ranking
from emberline.evaluation.found import Found
from emberline.evaluation.ranking import Asked
from emberline.flow.rows import Flow, Source
from emberline.runs.stage_run import StageRun
from emberline.scoring.sources import Withheld, distinct
from emberline.sections.evaluate import EvaluateConfig

REPORT = "mixed lists"
Row = dict[str, Any]


def report(
    run: StageRun[EvaluateConfig], flow: Flow, tables: Mapping[str, Source]
) -> tuple[Row, Found]:
    """The protocol, and what the lists are worth to each user."""
    config = run.settings
    model = str(run.inputs.produced_by("holdout_recommendations").config["model"])
    asked = Asked(REPORT, model, config.k, config.relevant_from, config.seed, with_new=True)
    found = ranking.lists(flow, tables, asked)
    least = config.relevant_from
    facts = protocols.of_ratings(run) | {
        "users": "those with a relevant held-out rating",
        "candidates": "all items rated in training but those that the user rated in training, and"
        " items without ratings by their predicted factors",
        "relevant": "every held-out rating" if least is None else f"held-out value >= {least:g}",
    }
    said = {
        "protocol": protocol("new and rated items in one list", facts),
        **protocols.data_of_ratings(run),
    }
    return said, replace(found, fixed=[*found.fixed, *_shares(tables, asked)])


def _shares(tables: Mapping[str, Source], asked: Asked) -> list[Row]:
    """What share of the lists, and of what is relevant, are items that nobody has rated."""
    rated = distinct(tables["ratings"], "item")
    relevant = Withheld(tables["holdout"], None, asked.relevant_from)
    sources = {
        f"new@{max(asked.ks)}": tables["holdout_recommendations"],
        "new among withheld": relevant,
    }
    rows = []
    for metric, source in sources.items():
        task = partial(counted, place=0, ids=rated)
        found = source.map(("item",), task, COUNTED).table()
        every, of_rated = (pc.sum(found[name]).as_py() or 0 for name in COUNTED.names)
        share = 1 - of_rated / max(1, every)
        rows.append({"model": asked.model, "metric": metric, "value": share, "items": len(rated)})
    return rows
