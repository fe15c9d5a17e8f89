"""The model `als`: users' and items' factors, whose product is the score, or the rating."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from emberline.cf.als.packing import SIDES
from emberline.cf.entries import PIECES
from emberline.cf.pieces import PAIRS, scatter_sparse
from emberline.datasets.cleaned import has_ratings
from emberline.datasets.facts import AlsTraining
from emberline.factors.earlier import published
from emberline.factors.fit import Model, fit
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import ALS, blended
from emberline.runs.stage_run import StageRun
from emberline.scoring.blending import blend, held_of
from emberline.scoring.models.offers import Known, Pieces, Table
from emberline.scoring.rated import Rated
from emberline.scoring.topk import ROWS_PER_BLOCK, item_pieces, pair_products, user_pieces
from emberline.sections.als import AlsConfig
from emberline.sections.recommend import RecommendConfig


def pieces(known: Known) -> Pieces:
    """The factors of both sides."""
    users, items = ALS.lists
    return Pieces(user_pieces(known.tables[users]), item_pieces(known.listed(items)))


def refit(run: StageRun[RecommendConfig], flow: Flow) -> Iterator[Table]:
    """Some more iterations, from the factors that training has found."""
    trained = run.inputs[ALS.lists[0]].manifest.produced_by.config
    config = _to_refit(trained, run.settings.refit_iterations, run.config.als)
    tables = dict(zip(SIDES, ALS.lists, strict=True))
    model = fit(
        flow,
        flow.read(run.inputs["interactions"]),
        config.for_lists(has_ratings(run.inputs["interactions"])),
        True,
        run.outputs.work,
        run.outputs.scratch,
        {side: published(flow, side, run.inputs[name]) for side, name in tables.items()},
        run.control.progress,
    )
    _hold(run, flow, model)
    training = AlsTraining(model.history, **model.final)
    facts = (training, *model.facts())
    for side, name in tables.items():
        yield Table(name, model.factors(side), facts, model.rank, config.seed)
    model.close()


def _hold(run: StageRun[RecommendConfig], flow: Flow, model: Model) -> None:
    """Hold both sides to what is known of them, where those in training are."""
    blended_users = blended(ALS.lists[0])
    if blended_users in run.inputs:
        settings = run.inputs.produced_by(blended_users).config
        held = held_of(flow, run.inputs, settings)
        blend(model.exchange, model.objective, model.rank, held)


def _to_refit(trained: Mapping[str, Any], iterations: int, here: AlsConfig | None) -> AlsConfig:
    """The settings that factors were trained with, for some more iterations without validation;
    where and how fast that is done says the pipeline file at hand.
    """
    config = AlsConfig.model_validate({**trained, "iterations": 1, "patience": None})
    # a fit that only folded users in keeps the items as they are
    more = {"iterations": min(iterations, trained["iterations"])}
    places = ("exchange", "blocks", "checkpoint_every")
    return config.model_copy(update=more | {name: getattr(here, name) for name in places if here})


def predict(pairs: Source, rated: Rated) -> Rows:
    """Products of the factors that predict ratings."""
    users, items = (rated.tables[name] for name in ALS.ratings)
    task = partial(scatter_sparse, block_size=ROWS_PER_BLOCK, kind=PAIRS)
    wanted = pairs.map(("user", "item"), task, PIECES)
    return pair_products(user_pieces(users).union(wanted), item_pieces(items))
