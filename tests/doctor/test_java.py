"""Which Java Spark takes, and what is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from emberline.doctor.java import check_java
from emberline.doctor.probes import Probes

Program = Callable[[str, str], Path]

OLD = """echo 'openjdk version "11.0.2" 2019-01-15' >&2"""
FITTING = """case $1 in --list-modules) echo java.base@21.0.1; echo jdk.incubator.vector@21.0.1;;
*) echo 'openjdk version "21.0.1" 2023-10-17' >&2;; esac"""
WITHOUT_VECTOR = FITTING.replace("echo jdk.incubator.vector@21.0.1", "true")


def test_a_java_that_fits_is_ok(probes: Probes, program: Program) -> None:
    java = program("bin/java", FITTING)
    checks = check_java(probes, {"PATH": str(java.parent)})
    assert [check.state for check in checks] == ["ok", "ok"]
    assert checks[0].found == f"21.0.1, {java}"


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_201"])
def test_a_java_that_is_too_old_is_an_error(probes: Probes, program: Program, version: str) -> None:
    java = program("bin/java", OLD.replace("11.0.2", version))
    (check,) = check_java(probes, {"PATH": str(java.parent)})
    assert (check.state, check.found) == ("error", f"{version}, {java}: too old for Spark")
    assert "install Java 17 or 21" in check.remedy


def test_a_java_that_nobody_has_tried_is_a_warning(probes: Probes, program: Program) -> None:
    java = program("bin/java", FITTING.replace("21.0.1", "26.0.1"))
    assert [check.state for check in check_java(probes, {"PATH": str(java.parent)})] == [
        "warning",
        "ok",
    ]


def test_a_java_without_the_vector_module_is_an_error(probes: Probes, program: Program) -> None:
    java = program("bin/java", WITHOUT_VECTOR)
    checks = check_java(probes, {"PATH": str(java.parent)})
    assert [check.state for check in checks] == ["ok", "error"]
    assert "jdk.incubator.vector is missing" in checks[1].found


def test_no_java_is_an_error(probes: Probes, tmp_path: Path) -> None:
    (check,) = check_java(probes, {"PATH": str(tmp_path)})
    assert (check.state, check.found) == (
        "error",
        "neither JAVA_HOME is set nor is java on the PATH",
    )


def test_a_java_home_without_java_is_an_error_even_with_one_on_the_path(
    probes: Probes, program: Program, tmp_path: Path
) -> None:
    java = program("bin/java", FITTING)
    (check,) = check_java(probes, {"PATH": str(java.parent), "JAVA_HOME": str(tmp_path / "gone")})
    assert check.state == "error"
    assert (
        check.found
        == f"{tmp_path}/gone/bin/java (of JAVA_HOME) cannot be started: No such file or directory"
    )
    assert "JAVA_HOME" in check.remedy


def test_two_javas_are_a_warning_that_says_which_one_spark_takes(
    probes: Probes, program: Program, environment: dict[str, str], tmp_path: Path
) -> None:
    program("home/bin/java", FITTING)
    other = program("path/java", OLD)
    checks = check_java(
        probes, environment | {"PATH": str(other.parent), "JAVA_HOME": str(tmp_path / "home")}
    )
    assert [check.state for check in checks] == ["ok", "ok", "warning"]
    assert checks[2].found == f"the PATH has another Java: {other}, 11.0.2; Spark takes JAVA_HOME's"


def test_two_names_of_one_java_are_nothing_to_say(
    probes: Probes, program: Program, tmp_path: Path
) -> None:
    program("home/bin/java", FITTING)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "java").symlink_to(tmp_path / "home" / "bin" / "java")
    checks = check_java(
        probes, {"PATH": str(tmp_path / "path"), "JAVA_HOME": str(tmp_path / "home")}
    )
    assert [check.state for check in checks] == ["ok", "ok"]
