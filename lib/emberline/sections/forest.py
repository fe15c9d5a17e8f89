"""The section [forest]: a random forest on embeddings."""

from typing import Annotated

from pydantic import Field

from emberline import extras
from emberline.models import FOREST
from emberline.sections.base import Positive, Section, Seed, tuned
from emberline.sections.stage import Stage


class ForestConfig(Section):
    """A random forest on the network's embeddings."""

    num_trees: Positive = Field(
        default=50,
        json_schema_extra=tuned(20, 200, log=True),
        description="How many trees the forest has; more are better and slower.",
    )
    max_depth: Annotated[int, Field(ge=1, le=30)] = Field(
        default=12,
        json_schema_extra=tuned(4, 20),
        description="How many decisions a tree makes one after the other, at most.",
    )
    seed: Seed = Field(default=1, description="The seed of the trees' random choices.")


STAGE = Stage(
    "train-forest",
    FOREST.name,
    "spark",
    "emberline.spark.forest:run",
    reads=lambda config: ("embeddings", "shards_all"),
    writes=lambda config: (FOREST.name, *FOREST.classes),
    extra=lambda config: extras.SPARK,
)
