"""Factors of new items that their withheld ratings themselves give: no model ranks better."""

from typing import Any

from emberline.datasets.cleaned import has_ratings
from emberline.datasets.facts import Values
from emberline.factors.fold_in import fold_in_items
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import ALS
from emberline.runs.stage_run import StageRun
from emberline.scoring.sources import Chosen, Withheld, distinct
from emberline.sections.als import AlsConfig


def oracle(run: StageRun[Any], flow: Flow, users: Source, holdout: Source) -> Rows | None:
    """Columns item and factors of the cold items of `holdout`, solved from their ratings as
    train-als had, by the settings that the users' factors were fitted with; None where all of
    those are newcomers', who have no factors.
    """
    fitted = run.inputs[ALS.lists[0]].manifest
    # of a fit that only folded users in, the manifest leaves out what it began from
    settings = AlsConfig.model_validate(fitted.produced_by.config | {"iterations": 1})
    config = settings.for_lists(has_ratings(run.inputs["ratings"]))
    rated = Chosen(Withheld(holdout, cold=True), "user", distinct(users, "user"))
    if not len(distinct(rated, "user")):
        return None
    return fold_in_items(flow, rated, users, config, fitted.facts(Values), run.outputs.scratch)
