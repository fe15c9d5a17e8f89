"""Cores, open files and the clock."""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emberline.doctor.clock import check_time_zone
from emberline.doctor.cores import check_cores
from emberline.doctor.limits import check_open_files, judge_open_files
from emberline.launch import cgroups
from emberline.sections.spark import SparkConfig


def test_a_quota_is_rounded_up_and_limits_only_downwards() -> None:
    assert cgroups.usable_cores(0.5) == 1
    allowed = len(os.sched_getaffinity(0))
    assert cgroups.usable_cores(None) == cgroups.usable_cores(10_000.0) == allowed


def test_cores_that_a_container_does_not_give_are_a_warning() -> None:
    check = check_cores(SparkConfig(), usable=2, in_machine=64)
    assert (check.state, check.remedy) == ("warning", "set spark.shuffle_partitions to 8")
    assert check_cores(SparkConfig(shuffle_partitions=8), 2, 64).state == "ok"
    assert check_cores(SparkConfig(), 64, 64).state == "ok"


def test_more_tasks_than_cores_are_a_warning() -> None:
    assert (
        check_cores(SparkConfig(master="local[8]"), 2, 2).found
        == "spark.master = local[8], but a run may use 2 of 2 cores"
    )
    assert check_cores(SparkConfig(master="local[2]"), 2, 2).state == "ok"


def test_few_open_files_are_a_warning_unless_java_can_raise_them() -> None:
    assert judge_open_files(256, 1024).state == "warning"
    assert judge_open_files(1024, 524_288).state == "ok"
    assert judge_open_files(resource.RLIM_INFINITY, resource.RLIM_INFINITY).state == "ok"
    assert check_open_files() == judge_open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def test_a_time_zone_that_the_system_does_not_know_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Berlin").touch()
    assert check_time_zone({"TZ": "Europe/Berlin"}, [str(tmp_path)]).state == "ok"
    check = check_time_zone({"TZ": ":Europe/Birlin"}, [str(tmp_path)])
    assert (check.state, check.found) == (
        "warning",
        "TZ = Europe/Birlin is not known here, so that programs take it for UTC",
    )


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("UTC0", "UTC;"),
        ("<abc>-05:45", "UTC+05:45;"),
        ("EST5EDT,M1.1.0,M12.5.0/23", "which changes with the season"),
    ],
)
def test_the_zone_of_schedulers_is_told(in_zone: pytest.MonkeyPatch, zone: str, said: str) -> None:
    in_zone.setenv("TZ", zone)
    time.tzset()
    check = check_time_zone({"TZ": zone})
    assert check.state == "ok"
    assert said in check.found
