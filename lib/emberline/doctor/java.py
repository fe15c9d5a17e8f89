"""The Java that Spark will start."""

import os
import re
import shutil
from collections.abc import Mapping

from emberline.doctor.check import Check, error, ok, warning
from emberline.doctor.probes import Answer, Probes

FITTING = (17, 21)
VECTOR = "jdk.incubator.vector"  # Spark 4.3 starts with --add-modules of it
_VERSION = re.compile(r'version "((?:1\.)?(\d+)[^"]*)"')
_INSTALL = "install Java 17 or 21 (such as openjdk-17-jre-headless), on the PATH or in JAVA_HOME"


def check_java(probes: Probes, environment: Mapping[str, str]) -> list[Check]:
    """The version and modules of the Java that Spark takes, which is JAVA_HOME's before the
    PATH's.
    """
    home = environment.get("JAVA_HOME")
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    java = os.path.join(home, "bin", "java") if home else on_path  # noqa: PTH118
    if java is None:
        return [error("Java", "neither JAVA_HOME is set nor is java on the PATH", _INSTALL)]
    answer = probes.ask([java, "-version"], environment)
    checks = [_check_version(java, answer, bool(home))]
    if checks[0].state != "error":
        checks.append(_check_vector(probes.ask([java, "--list-modules"], environment)))
    if home and on_path and checks[0].state != "error":
        checks += _check_agreement(answer, on_path, probes.ask([on_path, "-version"], environment))
    return checks


def _check_version(java: str, answer: Answer, is_home: bool) -> Check:
    where = f"{java} (of JAVA_HOME)" if is_home else java
    if answer.failure:
        remedy = (
            "set JAVA_HOME to the folder that has bin/java, or unset it" if is_home else _INSTALL
        )
        return error("Java", f"{where} {answer.failure}", remedy)
    version = _VERSION.search(answer.err + answer.out)
    if not version:
        return error("Java", f"{where} -version does not say its version", _INSTALL)
    found, major = f"{version[1]}, {where}", int(version[2])
    if major in FITTING:
        return ok("Java", found)
    if major < min(FITTING):
        return error("Java", f"{found}: too old for Spark", _INSTALL)
    return warning("Java", f"{found}: not one that Emberline is tested with", _INSTALL)


def _check_vector(answer: Answer) -> Check:
    if answer.failure:
        return warning("Java's modules", f"--list-modules {answer.failure}", _INSTALL)
    if VECTOR not in answer.out:
        return error(
            "Java's modules",
            f"{VECTOR} is missing, which Spark starts with",
            f"{_INSTALL}: a whole one",
        )
    return ok("Java's modules", f"{VECTOR} is there")


def _check_agreement(ours: Answer, other: str, theirs: Answer) -> list[Check]:
    """Where the PATH has another Java than JAVA_HOME, people look at one and Spark runs on the
    other.
    """
    version = _VERSION.search(theirs.err)
    if ours.err == theirs.err or version is None:
        return []
    found = f"the PATH has another Java: {other}, {version[1]}; Spark takes JAVA_HOME's"
    return [warning("JAVA_HOME", found, "unset JAVA_HOME, or put its bin folder first on the PATH")]
