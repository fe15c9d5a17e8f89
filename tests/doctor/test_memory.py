"""Memory beside what a run asks for."""

from pathlib import Path

import pytest

from emberline.doctor.memory import available_memory, check_memory, driver_heap, judge_memory, need
from emberline.launch.memory import machine_memory
from emberline.sections.cnn import CnnConfig, InputConfig
from emberline.sections.config import Config
from emberline.sections.spark import SparkConfig

GIB = 1 << 30
BOTH = {"spark", "tensorflow"}


@pytest.mark.parametrize(
    ("config", "heap"),
    [
        (SparkConfig(driver_memory="3g"), 3 * GIB),
        (SparkConfig(driver_memory="512m"), GIB // 2),
        (SparkConfig(conf={"spark.driver.memory": "1GB"}), GIB),
        (SparkConfig(conf={"spark.driver.memory": "1024"}), GIB),
        (SparkConfig(conf={"spark.driver.memory": "much"}), None),
    ],
)
def test_the_heap_is_what_spark_takes_the_setting_for(
    config: SparkConfig, heap: int | None
) -> None:
    assert driver_heap(config) == heap


def test_a_size_that_is_none_is_an_error() -> None:
    check = check_memory(
        Config(spark=SparkConfig(conf={"spark.driver.memory": "much"})), BOTH, 2, None
    )
    assert (check.state, check.found) == ("error", "spark.driver.memory = 'much' is not a size")


def test_a_heap_that_the_containers_limit_does_not_hold_is_an_error() -> None:
    config = Config(spark=SparkConfig(driver_memory="2g"))
    check = check_memory(config, BOTH, 2, limit=GIB)
    assert check.state == "error"
    assert check.found.startswith("1.0 GiB within the control group's limit")
    assert "driver_memory" in check.remedy


def test_a_limit_above_the_machines_memory_limits_nothing() -> None:
    check = check_memory(Config(), set(), 2, limit=1 << 50)
    assert "in this machine" in check.found


def test_less_than_a_run_needs_is_a_warning_and_so_is_what_others_have_taken() -> None:
    assert judge_memory(4 * GIB, "here", None, heap=2 * GIB, needed=5 * GIB).state == "warning"
    assert judge_memory(8 * GIB, "here", GIB, heap=2 * GIB, needed=5 * GIB).state == "warning"
    assert judge_memory(8 * GIB, "here", 7 * GIB, heap=2 * GIB, needed=5 * GIB).state == "ok"


def test_only_engines_that_run_need_memory() -> None:
    local = Config(spark=SparkConfig(master="local[4]"))
    assert need(local, {"python"}, 4, 0) == 0
    assert need(local, {"spark"}, 4, GIB) - need(local, {"spark"}, 3, GIB) == 256 << 20
    cluster = Config(spark=SparkConfig(master="yarn"))
    assert need(cluster, {"spark"}, 4, GIB) == need(cluster, {"spark"}, 64, GIB)
    training = Config.model_construct(cnn=CnnConfig(input=InputConfig(streams=16, pool=8)))
    assert need(training, {"tensorflow"}, 4, 0) == (640 + 2 * 16 * 8 * 4) << 20


def test_the_system_says_what_is_available(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(
        "MemTotal:       24683000 kB\nMemAvailable:   1048576 kB\n", encoding="ascii"
    )
    assert available_memory(meminfo) == GIB
    assert available_memory(tmp_path / "none") is None
    assert machine_memory() > GIB // 4
