"""Spark on this machine: which one starts, whether it does, and which Python its workers are."""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from emberline import extras
from emberline.doctor.check import Check, error, ok, warning
from emberline.doctor.packages import version_of
from emberline.doctor.probes import Probes

# What Emberline's tasks need of a worker's Python, and what it says of itself.
_WORKER = (
    "import sys, emberline.cf.scoring, emberline.cleaning.media;"
    " print(*sys.version_info[:2], sep='.');"
    " print(sys.prefix)"
)
_BANNER = re.compile(r"version (\d\S*)")
_VERSION = re.compile(r"__version__[^=\n]*= \"([^\"]+)\"")
_JAVA = re.compile(r"Using Scala version \S+, (.+)")


def check_spark_home(environment: Mapping[str, str]) -> Check:
    """SPARK_HOME, which comes before the installed pyspark."""
    home, installed = environment.get("SPARK_HOME"), version_of("pyspark")
    if home is None:
        return ok("SPARK_HOME", "not set: pyspark's own Spark starts")
    version = _version_in(Path(home))
    if version is None:
        return error("SPARK_HOME", f"there is no Spark in {home}", "unset SPARK_HOME")
    if version == installed:
        return ok("SPARK_HOME", f"{version}, {home}")
    found = f"{home} is Spark {version}, pyspark is {installed}"
    remedy = f"unset SPARK_HOME, or set it to a Spark {installed}"
    is_near = installed is not None and version.split(".")[:2] == installed.split(".")[:2]
    return warning("SPARK_HOME", found, remedy) if is_near else error("SPARK_HOME", found, remedy)


def check_pyspark() -> Check:
    """Whether the pyspark that is imported is the one that is installed, and not another
    Spark's on PYTHONPATH.
    """
    folder, installed = _package_folder(), version_of("pyspark")
    found = (
        _VERSION.search(Path(folder, "version.py").read_text(encoding="utf-8")) if folder else None
    )
    if found is None or installed is None or found[1] == installed:
        return ok("pyspark", f"{installed}, {folder}")
    remedy = "remove that folder from PYTHONPATH"
    return error("pyspark", f"{folder} is of Spark {found[1]}, installed is {installed}", remedy)


def _version_in(home: Path) -> str | None:
    cores = sorted(home.glob("jars/spark-core_*.jar"))
    return cores[0].stem.rpartition("-")[2] if cores else None


def check_start(probes: Probes, environment: Mapping[str, str]) -> Check:
    """Whether Java runs Spark's classes, with the options that Spark gives it."""
    home = spark_home(environment)
    if home is None:
        return error(
            "Spark starts", "pyspark is not installed", f"make setup, or {extras.SPARK.remedy}"
        )
    submit = os.path.join(home, "bin", "spark-submit")  # noqa: PTH118
    answer = probes.ask([submit, "--version"], environment)
    if answer.failure:
        return error(
            "Spark starts",
            f"spark-submit --version {answer.failure}",
            "see the lines of Java and SPARK_HOME",
        )
    version, java = _BANNER.search(answer.err), _JAVA.search(answer.err)
    return ok(
        "Spark starts",
        f"{version[1] if version else 'yes'}, on {java[1] if java else 'an unknown Java'}",
    )


def spark_home(environment: Mapping[str, str]) -> str | None:
    """The folder of the Spark that starts, as pyspark finds it; None without one."""
    return environment.get("SPARK_HOME") or _package_folder()


def _package_folder() -> str | None:
    spec = importlib.util.find_spec("pyspark")
    return next(iter(spec.submodule_search_locations or ()), None) if spec else None


def check_workers(probes: Probes, environment: Mapping[str, str], master: str) -> Check:
    """The Python of Spark's workers: of the same minor version as this one, with what
    Emberline's tasks import.
    """
    name = "Spark's workers"
    told = environment.get("PYSPARK_PYTHON")
    if not master.startswith("local"):
        return _check_remote_workers(name, told)
    python = shutil.which(told, path=environment.get("PATH")) if told else sys.executable
    if python is None:
        return error(name, f"PYSPARK_PYTHON = {told} is not there", "unset PYSPARK_PYTHON")
    answer = probes.ask([python, "-c", _WORKER], environment)
    if answer.failure:
        return error(
            name,
            f"{python} {answer.failure}",
            "unset PYSPARK_PYTHON" if told else "see the lines of the packages",
        )
    said = answer.out.splitlines()[-2:]
    if len(said) < 2:
        return error(name, f"{python} does not answer as Python does", "unset PYSPARK_PYTHON")
    version, prefix = said
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version != ours:
        return error(
            name,
            f"PYSPARK_PYTHON = {told} is Python {version}, this is {ours}",
            "unset PYSPARK_PYTHON",
        )
    if prefix != sys.prefix:
        return warning(
            name,
            f"PYSPARK_PYTHON = {told} is of another environment: {prefix}",
            "unset PYSPARK_PYTHON",
        )
    return ok(name, f"{python} imports what tasks need")


def _check_remote_workers(name: str, told: str | None) -> Check:
    if told:
        return ok(name, f"start {told}, which this machine cannot look at")
    remedy = "set PYSPARK_PYTHON to a Python that has Emberline's packages on every worker"
    return warning(
        name, "PYSPARK_PYTHON is not set: they start the python3 of their own PATH", remedy
    )


def check_blas(environment: Mapping[str, str]) -> Check:
    """Threads within each of Spark's tasks; the parallelism is Spark's."""
    name, threads = "OPENBLAS_NUM_THREADS", environment.get("OPENBLAS_NUM_THREADS")
    if threads in (None, "1"):
        return ok(name, "1" if threads else "not set: Emberline sets 1 for Spark's workers")
    return warning(
        name,
        f"{threads}, in every task at once: they take each other's cores",
        "unset it, or set it to 1",
    )
