"""The stage recommend-holdout: the lists that metrics are of, for every user with a rating in the
holdout.

They are made as the published ones are, but from what training has seen: what was withheld is not
known, and may be recommended.
"""

from functools import partial

from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_wanted
from emberline.datasets.cleaned import has_ratings
from emberline.datasets.schema import TABLES
from emberline.flow import outputs
from emberline.flow.rows import Flow
from emberline.models import MODELS, blended
from emberline.runs.stage_run import StageRun
from emberline.scoring.calibrations import calibrations_of
from emberline.scoring.candidates import allowed, offered
from emberline.scoring.lists import full_lists
from emberline.scoring.models.offers import Known
from emberline.scoring.topk import ROWS_PER_BLOCK
from emberline.sections.recommend import HOLDOUT_RECOMMENDABLE_ITEMS, RecommendConfig


def run(run: StageRun[RecommendConfig], flow: Flow) -> None:
    """Score, mix, fill up and write; also what may be recommended, where that is limited."""
    given = {blended(name): name for name in MODELS[run.settings.model].lists}
    tables = {
        given.get(name, name): flow.read(run.inputs[name]) for name in run.inputs if name in TABLES
    }
    holdout = tables.pop("holdout")
    # those of whom something is withheld besides whole items
    scatter = partial(scatter_wanted, block_size=ROWS_PER_BLOCK)
    known = Known(
        tables,
        has_ratings(run.inputs["ratings"]),
        lambda: holdout.map(("user", "cold"), scatter, PIECES),
        allowed(run, flow),
        run.config.min_users,
        calibrations_of(run.inputs, run.settings.calibrate),
    )
    outputs.write(full_lists(known, run.settings), run, "holdout_recommendations")
    if known.items is not None:
        outputs.write_here(offered(known.items), run, HOLDOUT_RECOMMENDABLE_ITEMS)
