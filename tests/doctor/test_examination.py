"""The command: a pipeline's own lines, what is printed, and how it ends."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from emberline.doctor.check import Check
from emberline.doctor.examination import examine
from emberline.doctor.pipeline import check_inputs, read_target

Command = Callable[..., "CompletedProcess[str]"]
Program = Callable[[str, str], Path]

# runs on neither Spark nor TensorFlow
SHOP = "[shop]\nnum_items = 10\nnum_users = 10\nnum_events = 100\n"
RATINGS = '[ratings]\npath = "{}"\ncolumns = {{ user_id = "u", item_id = "i", value = "v" }}\n'


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "night.toml"
    path.write_text(SHOP, encoding="utf-8")
    return path


def _line(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_a_pipeline_gets_lines_of_its_own(
    pipeline: Path, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    checks = examine(read_target(pipeline, None, [f"root={tmp_path}/root"], None), environment)
    assert _line(checks, "pipeline").found == f"{pipeline}, stages: 1"
    assert _line(checks, "datasets").found == "stages with something to do 1, up to date 0"
    assert _line(checks, "root").state != "error"
    assert not (tmp_path / "root").exists()
    # of which it needs none
    assert not {"Java", "Spark starts", "TensorFlow imports"} & {check.name for check in checks}


def test_raw_files_are_looked_for(
    pipeline: Path, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    pipeline.write_text(SHOP + RATINGS.format(tmp_path / "log.csv"), encoding="utf-8")
    target, _ = read_target(pipeline, None, (), None)
    (missing,), _ = check_inputs(target)
    assert (missing.name, missing.state) == ("ratings.path", "error")
    assert f"{tmp_path}/log.csv does not exist" in missing.found
    (tmp_path / "log.csv").write_bytes(b"u,i,v\n" * 10)
    (there,), size = check_inputs(target)
    assert (there.state, size) == ("ok", 60)


def test_the_first_rows_are_looked_at(
    pipeline: Path, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    pipeline.write_text(SHOP + RATINGS.format(tmp_path / "log.csv"), encoding="utf-8")
    (tmp_path / "log.csv").write_text("u,i,v\n" + "1,2,x\n" * 9)
    checks = examine(read_target(pipeline, None, [f"root={tmp_path}/root"], None), environment)
    assert _line(checks, "ratings").state == "error"
    assert (
        "9 of the first 9 rows cannot be used, 9 because value is not a number (column 'v')"
        in _line(checks, "ratings").found
    )
    assert "datasets" not in {check.name for check in checks}


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("[shop\n", {}, "is not valid TOML"),
        ("[shpo]\n", {}, "unknown key shpo"),
        ("", {}, "the pipeline has no stage"),
        (SHOP, {"overrides": ["shop.seed=-1"]}, "shop.seed"),
        (SHOP, {"overrides": ["root=ftp://host/root"]}, "scheme ftp:// is not supported"),
    ],
)
def test_a_pipeline_that_is_wrong_is_a_line(
    pipeline: Path, text: str, arguments: dict[str, object], said: str
) -> None:
    pipeline.write_text(text, encoding="utf-8")
    given: dict[str, Any] = {"root": None, "overrides": (), "day": None} | arguments
    _, (line,) = read_target(pipeline, **given)
    assert line.state == "error"
    assert said in line.found


def test_a_machine_that_will_do_ends_with_0(command: Command, pipeline: Path) -> None:
    done = command("doctor", pipeline)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("ok ")
    assert ", errors 0: " in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stdout.isascii() or done.stdout.replace("─", "").isascii()
    assert done.stderr == ""


def test_a_java_that_is_too_old_ends_with_2(
    command: Command, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = program("old/bin/java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(java.parent), prepend=os.pathsep)
    done = command("doctor", "--format", "json")
    assert done.returncode == 2
    lines = {line["check"]: line for line in json.loads(done.stdout)}
    assert lines["Java"]["state"] == lines["Spark starts"]["state"] == "error"
    assert lines["Java"]["found"] == f"11.0.2, {java}: too old for Spark"
    assert (lines["TensorFlow imports"]["state"], lines["TensorFlow imports"]["remedy"]) == (
        "ok",
        "",
    )
    assert {"state", "check", "found", "remedy"} == set(lines["Java"])


def test_without_java_a_pipeline_of_blocks_is_told_when_it_would_be_missed(
    pipeline: Path, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    pipeline.write_text(SHOP + RATINGS.format("dataset:shop/events.csv"), encoding="utf-8")
    no_java = {**environment, "PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)}
    overrides = [f"root={tmp_path}/root"]
    found = _line(examine(read_target(pipeline, None, overrides, None), no_java), "Java")
    assert found.state == "warning"
    told = "only where what a stage takes does not fit spark.driver_memory: set JAVA_HOME"
    assert found.remedy.startswith(told)
    overrides.append("spark.engine=spark")
    checks = examine(read_target(pipeline, None, overrides, None), no_java)
    assert _line(checks, "Java").state == "error"


def test_settings_without_a_pipeline_are_a_mistake(command: Command) -> None:
    done = command("doctor", "--set", "als.rank=3")
    assert done.returncode == 2
    assert done.stderr.startswith("emberline: error: --set and --date are for a pipeline")
