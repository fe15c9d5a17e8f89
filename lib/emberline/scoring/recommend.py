"""The stage recommend: every user's top-k of items that are not among their interactions, each row
with the model it is by.

What is published is made from all that is known: by the refitted tables of the model where training
has withheld something, and without any interaction of the user's own.
"""

from collections.abc import Mapping
from functools import partial, reduce

from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_wanted
from emberline.datasets.cleaned import has_ratings
from emberline.datasets.kept_back import TooFewUsers
from emberline.datasets.schema import TABLES
from emberline.errors import EmptyDatasetError
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import CONTENT_USER, MODELS, blended, refitted
from emberline.numeric.arrays import Int32
from emberline.raw import ids
from emberline.runs.stage_run import StageRun
from emberline.scoring import popularity
from emberline.scoring.calibrations import calibrations_of
from emberline.scoring.candidates import allowed, offered
from emberline.scoring.listed import listed
from emberline.scoring.lists import full_lists, most_popular
from emberline.scoring.models.offers import Known
from emberline.scoring.sources import Chosen
from emberline.scoring.topk import ROWS_PER_BLOCK
from emberline.sections.recommend import RECOMMENDABLE_ITEMS, RecommendConfig


def run(run: StageRun[RecommendConfig], flow: Flow) -> None:
    """Score, mix, fill up and write; also what may be recommended, where that is limited."""
    known = _known(run, flow)
    lists = full_lists(known, run.settings)
    if outputs.write(lists, run, "recommendations").rows == 0:
        raise EmptyDatasetError(
            "there is nothing to recommend: what may be is unknown to the model, or rated by every"
            " user"
        )
    enough = popularity.popular(known)
    outputs.write_here(most_popular(enough, run.settings.top_k), run, "popular_items")
    if known.min_users > 1:
        every = len(popularity.counted(known).items)
        left_out = TooFewUsers(known.min_users, every, every - len(enough.items))
        run.outputs.finish("popular_items", left_out)
    if known.items is not None:
        outputs.write_here(offered(known.items), run, RECOMMENDABLE_ITEMS)


def _known(run: StageRun[RecommendConfig], flow: Flow) -> Known:
    """What is known today, by the names that models have for it."""
    given = {"interactions": "ratings"}
    by = MODELS[run.settings.model].lists
    given |= {blended(name): name for name in by} | {refitted(name): name for name in by}
    tables = {
        given.get(name, name): flow.read(run.inputs[name]) for name in run.inputs if name in TABLES
    }
    return Known(
        tables,
        has_ratings(run.inputs["interactions"]),
        partial(_wanted, _listed_users(run, flow), tables),
        allowed(run, flow),
        run.config.min_users,
        calibrations_of(run.inputs, run.settings.calibrate),
    )


def _listed_users(run: StageRun[RecommendConfig], flow: Flow) -> Int32 | None:
    """The users (n,) whom the pipeline lists; None where it does not. Raises EmptyDatasetError
    where none of those is known.
    """
    config = run.settings.users
    if config is None:
        return None
    found = listed(run, flow, "users", config, ids.known(run, "user"))
    if not len(found):
        raise EmptyDatasetError(
            f"nobody gets a list: recommend.users ({config.path}) names none of the"
            f" {run.inputs['users'].rows:,} users; compare its ids with those that emberline show"
            " prints of the dataset users"
        )
    return found


def _wanted(only: Int32 | None, tables: Mapping[str, Source]) -> Rows:
    """PIECES of all users, or some only: those who have rated something, and those who are known
    otherwise.
    """
    scatter = partial(scatter_wanted, block_size=ROWS_PER_BLOCK)
    by = ("users", "user_attributes", *CONTENT_USER.new_users)
    known = [tables[name] for name in by if name in tables]
    if only is not None:
        known = [Chosen(table, "user", only) for table in known]
    every = [table.map(("user",), scatter, PIECES) for table in known]
    return reduce(lambda some, more: some.union(more), every)
