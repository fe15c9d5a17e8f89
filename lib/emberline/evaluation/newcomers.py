"""How well lists suit people who have rated nothing, beside the most popular items and items drawn
at random: the users withheld whole.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from emberline.cf.metrics import protocol
from emberline.evaluation import protocols, ranking
from emberline.evaluation.found import Found
from emberline.evaluation.ranking import Asked
from emberline.flow.rows import Flow, Source
from emberline.models import CONTENT_USER
from emberline.numeric.arrays import Int32
from emberline.runs.stage_run import StageRun
from emberline.scoring.sources import Chosen, Withheld, distinct
from emberline.sections.evaluate import EvaluateConfig

REPORT = "cold users"
Row = dict[str, Any]
_BY_USER = ("holdout", "holdout_recommendations")


def newcomers(tables: Mapping[str, Source]) -> Int32:
    """The users (n,), ascending, of whom training has seen no rating, and who rated items that are
    not withheld whole.
    """
    withheld = distinct(Withheld(tables["holdout"], cold=False), "user")
    return np.setdiff1d(withheld, distinct(tables["ratings"], "user"))


def of_users(tables: Mapping[str, Source], users: Int32, others: bool) -> dict[str, Source]:
    """The tables, in which what was withheld and what is listed is those users', or all others'."""
    return {
        name: Chosen(table, "user", users, others) if name in _BY_USER else table
        for name, table in tables.items()
    }


def report(
    run: StageRun[EvaluateConfig], flow: Flow, tables: Mapping[str, Source], users: Int32
) -> tuple[Row, Found]:
    """The protocol, and what the lists of the newcomers `users` are worth to each of them; every
    row names who made the lists, or the trivial answer.
    """
    config = run.settings
    theirs = of_users(tables, users, others=False)
    least = config.relevant_from
    asked = Asked(REPORT, CONTENT_USER.name, config.k, least, config.seed)
    facts = protocols.of_ratings(run) | {
        "users": "those withheld whole, of whom no rating was trained on",
        "candidates": "all items rated in training",
        "relevant": "every held-out rating" if least is None else f"held-out value >= {least:g}",
    }
    said = {
        "protocol": protocol(f"{len(users):,} users who have rated nothing", facts),
        **protocols.data_of_ratings(run),
    }
    return said, ranking.lists(flow, theirs, asked)
