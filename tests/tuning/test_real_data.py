"""A study of real purchases: what it finds holds on users and purchases that no trial has seen."""

import time
from pathlib import Path

import pytest
from tests.tuning.conftest import Watching

from emberline import pipelines
from emberline.datasets import storage
from emberline.tuning import design as designs
from emberline.tuning import tune as tuning
from emberline.tuning.design import Options
from emberline.tuning.tune import Bench

RETAIL = Path(__file__).parents[2] / "jobs" / "pipelines" / "retail.toml"


@pytest.mark.faults
def test_thirty_trials_of_retail_beat_the_defaults_on_the_holdout(
    shared_data: Path, tmp_path: Path
) -> None:
    content = pipelines.content_of(RETAIL, [f"ratings.path={shared_data}/online-retail"])
    content |= {"als": {}}  # the library's defaults, and not what tuning has found before
    design = designs.design(content, "retail.toml", Options())
    began = time.process_time()
    found = tuning.tune(design, Bench(storage.locate(str(tmp_path)), content), 30, Watching())
    assert time.process_time() - began < 15 * 60 * 2  # seconds of two cores
    assert found.is_better and found.difference is not None and found.difference.low > 0
    assert found.best.holdout > 1.1 * found.defaults.holdout
