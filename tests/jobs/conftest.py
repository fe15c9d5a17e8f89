"""A small shop's whole pipeline, and one of classes, each run once for the tests of this folder."""

import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from emberline import config as configs
from emberline import runner, stages
from emberline.config import Config


@pytest.fixture(scope="session")
def pipeline() -> Path:
    return Path(__file__).with_name("small.toml")


@pytest.fixture(scope="session")
def config(pipeline: Path) -> Config:
    return configs.load(pipeline)


@pytest.fixture(scope="session")
def finished(spark: SparkSession, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which every stage has run. Tests that change something work on a `copy` of it."""
    root = tmp_path_factory.mktemp("finished")
    runner.run(config, root, stages.select(config))
    return root


@pytest.fixture(scope="session")
def classes(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The pipeline of classes, and a root in which all of its stages have run."""
    pipeline, root = Path(__file__).with_name("classes.toml"), tmp_path_factory.mktemp("classes")
    config = configs.load(pipeline)
    runner.run(config, root, stages.select(config))
    return pipeline, root


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "root"))
