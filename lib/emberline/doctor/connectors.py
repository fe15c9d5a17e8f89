"""What Spark reads object stores with, which pip's pyspark does not bring."""

import re
from collections.abc import Mapping
from pathlib import Path

from emberline.datasets import storage
from emberline.doctor.check import Check, error, ok, warning
from emberline.doctor.pipeline import Target, raw_paths
from emberline.doctor.spark import spark_home
from emberline.errors import ConfigError

_CONNECTORS = {"s3": "hadoop-aws", "gs": "gcs-connector"}
_JAR_SETTINGS = ("spark.jars", "spark.jars.packages", "spark.driver.extraClassPath")


def check_connectors(target: Target, environment: Mapping[str, str]) -> list[Check]:
    """A line for each object store that the root or an input is in."""
    home = spark_home(environment)
    told = " ".join(target.config.spark.conf.get(setting, "") for setting in _JAR_SETTINGS)
    names = [_CONNECTORS[scheme] for scheme in _schemes(target) if scheme in _CONNECTORS]
    return [_check(name, Path(home or ""), told, target.config.spark.master) for name in names]


def _schemes(target: Target) -> list[str]:
    """Those of places that are not local, each once; a place that is wrong has a line of its
    own.
    """
    schemes: dict[str, None] = {}
    for place in (
        *(path for _, path in raw_paths(target)),
        *([str(target.root)] if target.root else []),
    ):
        try:
            location = storage.locate(place)
        except ConfigError:
            continue
        if not isinstance(location, Path):
            schemes[location.scheme] = None
    return list(schemes)


def _check(connector: str, home: Path, told: str, master: str) -> Check:
    name = "Spark's connectors"
    if re.search(connector, told) or any(home.glob(f"jars/{connector}*.jar")):
        return ok(name, f"{connector} is there")
    remedy = (
        f'name the {connector} of Spark\'s Hadoop version in spark.conf."spark.jars.packages", or'
        f" put its jars into {home}/jars"
    )
    if master.startswith("local"):
        return error(name, f"{connector} is missing, with which Spark reads this storage", remedy)
    return warning(name, f"{connector} is not on this machine; the cluster may have it", remedy)
