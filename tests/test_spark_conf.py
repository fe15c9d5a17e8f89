"""The files in spark-conf/: settings, which Spark passes over without a word where it does not
know them, and what is packed.
"""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

CONF = Path(__file__).parents[1] / "spark-conf"
# Where Spark declares its settings; an object's settings are known once it is loaded.
DECLARED = (
    "org.apache.spark.internal.config.package$",
    "org.apache.spark.deploy.yarn.config.package$",
    "org.apache.spark.deploy.k8s.Config$",
    "org.apache.spark.sql.internal.SQLConf$",
)
# What follows these is a name of ours.
PREFIXES = (
    "spark.executorEnv.",
    "spark.yarn.appMasterEnv.",
    "spark.kubernetes.driverEnv.",
    "spark.kubernetes.driver.volumes.persistentVolumeClaim.data.",
    "spark.kubernetes.executor.volumes.persistentVolumeClaim.data.",
)
# Read by Spark's launcher, which declares nothing.
LAUNCHERS = {"spark.master", "spark.submit.deployMode"}

# Imports all that runs on executors where there are only these packages.
IMPORT = """
import importlib.metadata, pkgutil, re, sys
held, owners = {*sys.argv[1:], "emberline"}, importlib.metadata.packages_distributions()

class NotHeld:
    def find_spec(name, path=None, target=None):
        found = owners.get(name.partition(".")[0], ())
        by = {re.sub("[-_.]+", "-", owner).lower() for owner in found}
        if by and not by & held:
            raise ModuleNotFoundError(f"{name} is not in the archive")

sys.meta_path.insert(0, NotHeld)
layers = ("emberline.cf", "emberline.datasets", "emberline.images")
for layer in map(importlib.import_module, layers):
    for module in pkgutil.walk_packages(layer.__path__, layer.__name__ + "."):
        importlib.import_module(module.name)
"""


def settings(path: Path) -> dict[str, str]:
    lines = [
        line.removeprefix("#")
        for line in path.read_text().splitlines()
        if not line.startswith(("# ", "#  ")) and line.strip()
    ]
    return dict(line.split(maxsplit=1) for line in lines)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.conf")), ids=lambda path: path.name)
def test_every_setting_is_one_that_spark_knows_with_a_value_that_it_understands(
    spark: SparkSession, path: Path
) -> None:
    java = cast(Any, spark._jvm)
    for name in DECLARED:
        java.java.lang.Class.forName(name)
    assert settings(path)
    for key, value in settings(path).items():
        if key.startswith(PREFIXES) or key in LAUNCHERS:
            continue
        entry = java.org.apache.spark.internal.config.ConfigEntry.findEntry(key)
        assert entry is not None, f"{path.name}: {key}"
        try:
            entry.valueConverter().apply(value)
        except Py4JJavaError as error:
            pytest.fail(f"{path.name}: {key} is {value!r}: {error.java_exception}")


def test_the_environment_archive_holds_what_executors_import() -> None:
    archive = runpy.run_path(str(CONF / "archive.py"))
    held = archive["closure"](archive["EXECUTORS"])
    ended = subprocess.run([sys.executable, "-c", IMPORT, *held], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert {"tensorflow-cpu", "pydantic"} <= set(
        archive["packages_for"]("driver")
    ) and "tensorflow-cpu" not in held
    without = subprocess.run(
        [sys.executable, "-c", IMPORT, *(held - {"pillow"})], capture_output=True, text=True
    )
    assert "PIL is not in the archive" in without.stderr


def test_an_archive_is_named_so_that_spark_unpacks_it(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, CONF / "archive.py", tmp_path / "environment"],
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 2
    assert "Spark knows an archive by its name: FILE.tar.gz" in refused.stderr
    assert list(tmp_path.iterdir()) == []
