"""What a small run in local mode tells Spark and Java, and what it leaves alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emberline.sections.spark import SparkConfig
from emberline.spark import light, session

JAVA = "spark.driver.extraJavaOptions"
AQE = "spark.sql.adaptive.enabled"
PARTITIONS = "spark.sql.shuffle.partitions"


@pytest.fixture(autouse=True)
def nobody_has_told_java_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS"):
        monkeypatch.delenv(name, raising=False)


def _told(config: SparkConfig, input_bytes: int | None = 1000) -> dict[str, str]:
    settings = session._own_settings(config, light.pays(config, input_bytes))
    return {key: str(value) for key, value in settings.items()}


def test_a_small_run_on_this_machine_starts_a_light_java() -> None:
    told = _told(SparkConfig(master="local[*]"))
    assert light.JAVA in told[JAVA]
    assert (told[AQE], told[PARTITIONS]) == ("false", str(light.SHUFFLE_PARTITIONS))


@pytest.mark.parametrize(
    ("master", "input_bytes"),
    [
        ("local[*]", light.SMALL + 1),
        ("local[*]", None),
        ("yarn", 1000),
        ("local-cluster[2,1,1024]", 1000),
    ],
)
def test_a_large_run_or_one_on_a_cluster_is_as_ever(master: str, input_bytes: int | None) -> None:
    told = _told(SparkConfig(master=master), input_bytes)
    assert light.JAVA not in told[JAVA]
    assert AQE not in told and told[PARTITIONS] == str(4 * (os.cpu_count() or 2))


def test_what_the_pipeline_says_of_spark_holds_in_a_small_run() -> None:
    conf = {AQE: "true", JAVA: "-XX:+UseParallelGC"}
    told = _told(SparkConfig(shuffle_partitions=7, conf=conf))
    assert (told[AQE], told[PARTITIONS]) == ("true", "7")
    assert told[JAVA].endswith("-XX:+UseParallelGC") and "Serial" not in told[JAVA]


def test_what_the_environment_says_to_java_holds_in_a_small_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Java does not start with two collectors."""
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-XX:+UseParallelGC")
    assert light.JAVA not in _told(SparkConfig())[JAVA]


def test_a_small_run_is_as_ever_where_spark_has_a_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text(f"{AQE} true\n")
    assert AQE not in _told(SparkConfig())


@pytest.mark.faults
def test_small_runs_in_a_process_share_their_java_and_a_large_one_has_its_own() -> None:
    code = """
from emberline.sections.config import Config
from emberline.sections.spark import SparkConfig
from emberline.spark import light
from emberline.spark.session import SparkEngine
config = Config(spark=SparkConfig(master="local[1]", driver_memory="512m"))
for size in (0, 1, light.SMALL + 1):
    with SparkEngine(config, size) as engine:
        java = engine.session.sparkContext._jvm.java
        beans = java.lang.management.ManagementFactory.getRuntimeMXBean()
        assert engine.session.range(10).count() == 10
        print("-XX:TieredStopAtLevel=1" in list(beans.getInputArguments()), beans.getPid())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lights, javas = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    assert lights == ("True", "True", "False")
    assert javas[0] == javas[1] != javas[2]
