"""The stage train-cosine: each item's and each user's most similar ones, by the cosine of their
columns and rows of ratings.

What is computed is in cf/cosine/. NumPy packs ratings into blocks of rows, each a few large rows,
and blocks of rows are multiplied with blocks of columns. No machine holds the whole
matrix; of vectors as long as a side there is one, in a block of columns: where the entries of each
term begin.
What concerns all ratings of a term (a cap, its mean, its frequency) is done in blocks of terms,
before blocks of rows are made.
"""

import logging
from functools import partial

import numpy as np

from emberline.cf.cosine import search as cf_search
from emberline.datasets.facts import Capped, merged
from emberline.datasets.manifest import Dataset
from emberline.flow import outputs
from emberline.flow.rows import Flow, Source
from emberline.logs import event
from emberline.neighbors.packing import checked, count
from emberline.neighbors.search import neighbors, too_few
from emberline.runs.stage_run import StageRun
from emberline.sections.cosine import CosineConfig

log = logging.getLogger(__name__)
_SAMPLE = 200  # rows, about, whose exact neighbours are found to say what a cap costs


def run(run: StageRun[CosineConfig], flow: Flow) -> None:
    """Write the neighbours of each configured side."""
    ratings = flow.read(run.inputs["ratings"])
    config = checked(ratings, run.settings)
    for side, other in (("item", "user"), ("user", "item")):
        if f"{side}s" not in config.sides:
            continue
        name, limit = f"{side}_neighbors", config.max_ratings
        left_out = count(ratings, other, flow.cores, limit).left_out if limit else 0
        shown = config.for_people(side, run.config.min_users)
        found = neighbors(flow, ratings, side, other, shown)
        written = outputs.write(found, run, name, seed=config.seed if left_out else None)
        for facts in too_few(flow, ratings, side, other, config, shown):
            run.outputs.finish(name, facts)
        if left_out:
            capped = Capped(left_out, *recall(flow, ratings, side, other, shown, written))
            run.outputs.finish(name, capped)
            told = merged([capped])
            log.info(event("ratings_capped", dataset=name, max_ratings=limit, **told))
            run.outputs.measure(**{name: told})


def recall(
    flow: Flow, ratings: Source, side: str, other: str, config: CosineConfig, found: Dataset
) -> tuple[float | None, int]:
    """What share of the exact neighbours of some rows, chosen by hash, is among those found
    under the cap, and of how many rows.
    """
    one_in = -(-count(ratings, side, flow.cores).ids // _SAMPLE)
    uncapped = config.model_copy(update={"max_ratings": None})
    exact = neighbors(flow, ratings, side, other, uncapped, one_in=one_in).table()
    rows = np.unique(exact[side].to_numpy())
    task = partial(cf_search.of_rows, wanted=rows)
    same = flow.read(found).map((side, "neighbor"), task, cf_search.PAIRS).table()
    wanted = cf_search.keys(exact[side].to_numpy(), exact["neighbor"].to_numpy())
    hits = np.isin(wanted, cf_search.keys(same["row"].to_numpy(), same["neighbor"].to_numpy()))
    return float(hits.mean()) if len(hits) else None, len(rows)
