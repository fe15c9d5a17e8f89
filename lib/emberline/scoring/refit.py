"""The stage refit: the model of the published lists, fitted once more to all interactions, also to
those that were withheld from training.

Metrics are of the model in training. This one has its settings, begins where it ended, and has seen
everything: the newest days, whole items, and the ratings by which it was chosen and measured.
"""

from emberline.flow import outputs
from emberline.flow.rows import Flow
from emberline.models import MODELS, refitted
from emberline.runs.stage_run import StageRun
from emberline.scoring.models.offers import refit_of
from emberline.sections.recommend import RecommendConfig


def run(run: StageRun[RecommendConfig], flow: Flow) -> None:
    """Write each table that the model makes lists from."""
    for table in refit_of(MODELS[run.settings.model], run, flow):
        name = refitted(table.name)
        outputs.write(table.rows, run, name, *table.facts, rank=table.rank, seed=table.seed)
