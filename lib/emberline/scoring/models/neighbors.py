"""What the models of neighbours have in common."""

from emberline.flow.rows import Flow
from emberline.neighbors.packing import checked
from emberline.neighbors.search import neighbors, too_few
from emberline.runs.stage_run import StageRun
from emberline.scoring.models.offers import Table
from emberline.sections.cosine import CosineConfig
from emberline.sections.recommend import RecommendConfig


def refitted_neighbors(
    run: StageRun[RecommendConfig], flow: Flow, table: str, side: str, other: str
) -> Table:
    """Neighbours of a side by all interactions, by the settings that its table was made with."""
    interactions = flow.read(run.inputs["interactions"])
    settings = CosineConfig.model_validate(run.inputs.produced_by(table).config)
    config = checked(interactions, settings)
    shown = config.for_people(side, run.config.min_users)
    found = neighbors(flow, interactions, side, other, shown)
    facts = tuple(too_few(flow, interactions, side, other, config, shown))
    return Table(table, found, facts, seed=config.seed if config.max_ratings else None)
