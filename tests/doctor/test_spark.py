"""Which Spark starts, whether it does, and its workers' Python."""

import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from emberline.doctor.probes import Probes
from emberline.doctor.spark import check_blas, check_spark_home, check_start, check_workers

Program = Callable[[str, str], Path]


def test_the_installed_spark_starts(probes: Probes, environment: dict[str, str]) -> None:
    environment |= {key: value for key, value in os.environ.items() if key == "JAVA_HOME"}
    check = check_start(probes, environment)
    assert check.state == "ok"
    assert check.found.startswith(f"{version('pyspark')}, on ")


def test_a_java_that_cannot_run_sparks_classes_is_an_error(
    probes: Probes, program: Program, environment: dict[str, str]
) -> None:
    java_home = program(
        "home/bin/java", "echo 'Module jdk.incubator.vector not found' >&2; exit 1"
    ).parents[1]
    check = check_start(probes, environment | {"JAVA_HOME": str(java_home)})
    assert check.state == "error"
    assert check.found.startswith("spark-submit --version ended with exit code 1")


@pytest.mark.parametrize(
    ("there", "state"),
    [
        (version("pyspark"), "ok"),
        (f"{version('pyspark')}.1", "warning"),
        ("3.5.0", "error"),
        (None, "error"),
    ],
)
def test_spark_home_must_be_the_installed_version(
    tmp_path: Path, there: str | None, state: str
) -> None:
    (tmp_path / "jars").mkdir()
    if there:
        (tmp_path / "jars" / f"spark-core_2.13-{there}.jar").touch()
    assert check_spark_home({"SPARK_HOME": str(tmp_path)}).state == state


def test_no_spark_home_is_ok() -> None:
    assert check_spark_home({}).state == "ok"


def test_workers_are_this_python_unless_told_otherwise(
    probes: Probes, environment: dict[str, str]
) -> None:
    for told in ({}, {"PYSPARK_PYTHON": sys.executable}):
        check = check_workers(probes, environment | told, "local[*]")
        assert (check.state, check.found) == ("ok", f"{sys.executable} imports what tasks need")


def test_a_python_without_the_packages_is_an_error(
    probes: Probes, program: Program, environment: dict[str, str]
) -> None:
    bare = program("python", f'exec {sys.executable} -I -S "$@"')
    check = check_workers(probes, environment | {"PYSPARK_PYTHON": str(bare)}, "local[2]")
    assert check.state == "error"
    assert (
        check.found
        == f"{bare} ended with exit code 1: ModuleNotFoundError: No module named 'emberline'"
    )
    assert check.remedy == "unset PYSPARK_PYTHON"


def test_a_python_of_another_version_or_place_is_told(
    probes: Probes, program: Program, environment: dict[str, str]
) -> None:
    name = str(program("python", "echo 3.9; echo /elsewhere"))
    check = check_workers(probes, environment | {"PYSPARK_PYTHON": name}, "local[*]")
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (check.state, check.found) == (
        "error",
        f"PYSPARK_PYTHON = {name} is Python 3.9, this is {ours}",
    )
    program("python", f"echo {ours}; echo /elsewhere")
    check = check_workers(probes, environment | {"PYSPARK_PYTHON": name}, "local[*]")
    assert (check.state, check.found) == (
        "warning",
        f"PYSPARK_PYTHON = {name} is of another environment: /elsewhere",
    )


def test_what_is_no_python_is_an_error(
    probes: Probes, program: Program, environment: dict[str, str]
) -> None:
    for name in ("/no/such/python", str(program("silent", "true"))):
        assert (
            check_workers(probes, environment | {"PYSPARK_PYTHON": name}, "local[*]").state
            == "error"
        )


def test_workers_on_other_machines_need_to_be_told_their_python(probes: Probes) -> None:
    assert check_workers(probes, {}, "spark://host:7077").state == "warning"
    assert (
        check_workers(probes, {"PYSPARK_PYTHON": "./environment/bin/python"}, "yarn").state == "ok"
    )


def test_many_threads_in_every_task_are_a_warning() -> None:
    assert check_blas({"OPENBLAS_NUM_THREADS": "16"}).state == "warning"
    assert check_blas({"OPENBLAS_NUM_THREADS": "1"}).state == "ok"
    assert check_blas({}).state == "ok"
