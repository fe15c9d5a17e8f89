"""Object stores need jars that pip's Spark does not have."""

from pathlib import Path

import pytest

from emberline.datasets import storage
from emberline.doctor.check import Check
from emberline.doctor.connectors import check_connectors
from emberline.doctor.pipeline import Target
from emberline.sections.config import Config
from emberline.sections.spark import SparkConfig


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "jars").mkdir()
    return tmp_path


def _checks(root: str, home: Path, master: str = "local[*]", **conf: str) -> list[Check]:
    settings = {key.replace("_", "."): value for key, value in conf.items()}
    target = Target(Config(spark=SparkConfig(master=master, conf=settings)), storage.locate(root))
    return check_connectors(target, {"SPARK_HOME": str(home)})


def test_an_object_store_without_its_connector_is_an_error(home: Path) -> None:
    (check,) = _checks("s3a://shop/runs", home)
    assert (check.state, check.found) == (
        "error",
        "hadoop-aws is missing, with which Spark reads this storage",
    )
    assert "spark.jars.packages" in check.remedy
    (check,) = _checks("gs://shop/runs", home, master="yarn")
    assert check.state == "warning"


def test_the_connector_may_lie_beside_spark_or_be_named(home: Path) -> None:
    named = _checks(
        "s3://shop/runs", home, spark_jars_packages="org.apache.hadoop:hadoop-aws:3.4.2"
    )
    assert [check.state for check in named] == ["ok"]
    (home / "jars" / "gcs-connector-hadoop3-latest.jar").touch()
    assert [check.state for check in _checks("gs://shop/runs", home)] == ["ok"]


def test_local_places_and_hdfs_need_none(home: Path) -> None:
    assert _checks("/srv/runs", home) == _checks("hdfs://node:8020/runs", home) == []
