"""A run on a machine that is set up wrongly ends before its first stage, in one line, with 2;
each is wrong for real here.
"""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emberline import pipelines, stages
from emberline.doctor import beginning, clock, language, limits
from emberline.errors import ConfigError
from emberline.sections.config import Config
from emberline.sections.spark import SparkConfig

Check = Callable[..., None]
Look = Callable[..., dict[str, str]]
TOML = """
[ratings]
path = "log.csv"
columns = { user_id = "u", item_id = "i", value = "v" }
[spark]
engine = "spark"
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A pipeline that has something to do on Spark."""
    (tmp_path / "night.toml").write_text(TOML)
    (tmp_path / "log.csv").write_text("u,i,v\na,b,1\n")
    return pipelines.load(tmp_path / "night.toml", [f"ratings.path={tmp_path / 'log.csv'}"])


@pytest.fixture
def check(config: Config, tmp_path: Path) -> Check:
    """`check(**environment)`: what its run looks at first."""

    def look(only: str | None = None, **environment: str) -> None:
        beginning.check(config, tmp_path / "root", stages.select(config, only), False, environment)

    return look


@pytest.fixture
def look(config: Config) -> Look:
    """`look(**environment)`: the names of all that is looked at, and their states; of another
    pipeline `look(its_config, **environment)`.
    """

    def states(looked_at: Config = config, **environment: str) -> dict[str, str]:
        lines = beginning._look(looked_at, stages.select(looked_at), environment)
        return {line.name: line.state for line in lines}

    return states


def test_a_machine_that_is_set_up_well_is_in_nobodys_way(check: Check, look: Look) -> None:
    found = look(PYSPARK_PYTHON=sys.executable)
    assert found.keys() == {
        "clock",
        "user",
        "SPARK_HOME",
        "pyspark",
        "Spark's temporary files",
        "Spark's workers",
    }
    assert "error" not in found.values()
    check()
    check(PYSPARK_PYTHON=sys.executable)


def test_stages_that_can_do_without_spark_do_not_wait_for_it(config: Config, look: Look) -> None:
    here = config.model_copy(update={"spark": SparkConfig()})
    assert look(here, SPARK_HOME="/nowhere").keys() == {"clock"}
    assert look(SPARK_HOME="/nowhere")["SPARK_HOME"] == "error"


def test_another_spark_home_is_told(check: Check, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^SPARK_HOME: there is no Spark in .*; unset SPARK_HOME$"
    ):
        check(SPARK_HOME=str(tmp_path))
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "spark-core_2.12-3.5.1.jar").touch()
    with pytest.raises(ConfigError, match=r"^SPARK_HOME: .* is Spark 3\.5\.1, pyspark is 4\."):
        check(SPARK_HOME=str(tmp_path))


def test_another_pyspark_on_the_path_is_told(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyspark").mkdir()
    (tmp_path / "pyspark" / "__init__.py").touch()
    (tmp_path / "pyspark" / "version.py").write_text('__version__: str = "3.5.1"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ConfigError, match=r"^pyspark: .* is of Spark 3\.5\.1, installed is 4\..*PYTHONPATH$"
    ):
        check()


def test_a_python_of_workers_that_is_not_there_or_lacks_packages_is_told(
    check: Check, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"^Spark's workers: PYSPARK_PYTHON = no-such-python is not there"
    ):
        check(PYSPARK_PYTHON="no-such-python", PATH="/usr/bin")
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(
        ConfigError, match=r"^Spark's workers: .* ModuleNotFoundError.*unset PYSPARK_PYTHON$"
    ):
        check(PYSPARK_PYTHON=str(bare))


def test_local_folders_of_spark_that_cannot_be_written_are_told(
    check: Check, small_disk: Callable[..., None], tmp_path: Path
) -> None:
    small_disk(tmp_path / "closed", "1m")
    subprocess.run(["mount", "-o", "remount,ro", tmp_path / "closed"], check=True)
    with pytest.raises(
        ConfigError,
        match=r"^Spark's temporary files: .*/closed cannot be written: Read-only file system; set ",
    ):
        check(SPARK_LOCAL_DIRS=str(tmp_path / "closed"))


def test_under_spark_submit_spark_is_there_already(check: Check, look: Look) -> None:
    """What would be in the way of a Spark that is about to start is not looked at."""
    assert look(SPARK_HOME="/nowhere")["SPARK_HOME"] == "error"
    assert look(SPARK_HOME="/nowhere", PYSPARK_GATEWAY_PORT="1") == {"clock": "ok"}
    check(SPARK_HOME="/nowhere", PYSPARK_GATEWAY_PORT="1")


def test_a_user_without_a_name_is_told_before_java_starts(check: Check, tmp_path: Path) -> None:
    """As in a container that is started with a number."""
    code = "from emberline.cli.main import main; main()"
    command = [sys.executable, "-c", code, "run", "night.toml", "--root", "root"]
    if subprocess.run(["unshare", "--map-user=4242", "true"], capture_output=True).returncode:
        pytest.skip("no right to be another user")
    done = subprocess.run(
        ["unshare", "--map-user=4242", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "emberline: error: user: user 4242 has no entry in /etc/passwd, without which Spark's Java"
    )
    assert len(done.stderr.splitlines()) == 1


def test_a_clock_before_this_program_is_told(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clock.check_clock().state == "ok"
    found = clock.check_clock(datetime(1999, 12, 31, 23, 59, tzinfo=UTC))
    assert found.state == "error" and found.found.startswith(
        "the clock says 1999-12-31 23:59, before"
    )
    monkeypatch.setattr(clock, "_WRITTEN", datetime(2999, 1, 1, tzinfo=UTC))
    with pytest.raises(ConfigError, match=r"^clock: the clock says "):
        check()


def test_shared_memory_of_64_kib_is_a_warning(
    small_disk: Callable[..., None], tmp_path: Path
) -> None:
    small_disk(tmp_path / "shm", "64k")
    (line,) = limits.check_shared_memory(tmp_path / "shm")
    assert (
        line.state == "warning"
        and "holds 65,536 bytes" in line.found
        and "--shm-size" in line.remedy
    )
    assert limits.check_shared_memory(tmp_path / "none") == []


def test_a_locale_of_eight_bits_is_a_warning() -> None:
    assert language.check_language({}, "utf-8").state == "ok"
    line = language.check_language({"LANG": "de_DE.ISO-8859-1"}, "iso8859-1")
    assert line.state == "warning" and line.found.startswith(
        "iso8859-1, as LANG = de_DE.ISO-8859-1 has it"
    )
    assert line.remedy == "export LC_ALL=C.UTF-8"
