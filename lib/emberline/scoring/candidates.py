"""Which items may be recommended."""

from typing import cast

from emberline.flow.rows import Flow
from emberline.numeric.arrays import Int32
from emberline.runs.package import resolve
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import RecommendConfig

_READER = "emberline.spark.candidates:allowed"  # lists are raw files, which Spark reads


def allowed(run: StageRun[RecommendConfig], flow: Flow) -> Int32 | None:
    """The items (n,), ascending, that the pipeline's lists leave; None where it names no list.

    Raises EmptyDatasetError where no item is left.
    """
    if not run.settings.limits_items:
        return None
    return cast(Int32, resolve(_READER)(run, flow))
