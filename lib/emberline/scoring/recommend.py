"""The stage recommend: every user's top-k of items that are not among their interactions, each row
with the model it is by.

What is published is made from all that is known: by the refitted tables of the model where training
has withheld something, and without any interaction of the user's own.
"""

from functools import partial

from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_wanted
from emberline.datasets.cleaned import has_ratings
from emberline.datasets.schema import TABLES
from emberline.errors import EmptyDatasetError
from emberline.flow import outputs
from emberline.flow.rows import Flow
from emberline.models import MODELS, refitted
from emberline.runs.stage_run import StageRun
from emberline.scoring.candidates import allowed
from emberline.scoring.lists import full_lists, most_popular, popular
from emberline.scoring.models.offers import Known
from emberline.scoring.topk import ROWS_PER_BLOCK
from emberline.sections.recommend import RecommendConfig


def run(run: StageRun[RecommendConfig], flow: Flow) -> None:
    """Score, mix, fill up and write."""
    known = _known(run, flow)
    lists = full_lists(known, run.settings)
    if outputs.write(lists, run, "recommendations").rows == 0:
        raise EmptyDatasetError(
            "there is nothing to recommend: what may be is unknown to the model, or rated by every"
            " user"
        )
    outputs.write_here(most_popular(popular(known), run.settings.top_k), run, "popular_items")


def _known(run: StageRun[RecommendConfig], flow: Flow) -> Known:
    """What is known today, by the names that models have for it."""
    given = {"interactions": "ratings"}
    given |= {refitted(name): name for name in MODELS[run.settings.model].lists}
    tables = {
        given.get(name, name): flow.read(run.inputs[name]) for name in run.inputs if name in TABLES
    }
    scatter = partial(scatter_wanted, block_size=ROWS_PER_BLOCK)
    return Known(
        tables,
        has_ratings(run.inputs["interactions"]),
        lambda: tables["users"].map(("user",), scatter, PIECES),
        allowed(run, flow),
    )
