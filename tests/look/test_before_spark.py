"""A wrong column, format or separator ends a run in one line, within seconds, whatever the size
of the file, without Java.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = """
[ratings]
path = "log.csv"
columns = {{ user_id = "user", item_id = "item", value = "stars", timestamp = "at" }}
{settings}
[als]
"""
ROWS = "user;item;stars;at\n" + "".join(
    f"u{n % 40};i{n % 30};{n % 5 + 1};{n % 28 + 1:02}.03.2021 10:00\n" for n in range(3000)
)
RIGHT = 'separator = ";"\ntimestamp_format = "%d.%m.%Y %H:%M"'
PROGRAM = """
import sys
from emberline.cli.main import main
try:
    main()
finally:
    heavy = {"pyspark", "tensorflow"} & set(sys.modules)
    print("imported", sorted(heavy), file=sys.stderr)
"""
MISTAKES = {
    "separator": ('timestamp_format = "%d.%m.%Y %H:%M"', "(separator = ';' would fit)"),
    "column": (
        RIGHT + '\nreject = [{ column = "stats", pattern = "x", reason = "x" }]',
        "(did you mean 'stars'?)",
    ),
    "format": ('separator = ";"', 'would fit "%d.%m.%Y %H:%M"'),
}


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _ends(folder: Path, command: str, settings: str) -> "subprocess.CompletedProcess[str]":
    (folder / "my.toml").write_text(PIPELINE.format(settings=settings))
    environment = {**os.environ, "JAVA_HOME": "/nowhere", "PATH": ""}
    program = [sys.executable, "-c", PROGRAM, command, "my.toml"]
    return subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_mistake_is_told_in_one_line_without_java(
    tmp_path: Path, command: str, mistake: str
) -> None:
    (tmp_path / "log.csv").write_text(ROWS)
    ended = _ends(tmp_path, command, MISTAKES[mistake][0])
    told = [line for line in ended.stderr.splitlines() if not line.startswith("imported")]
    assert ended.returncode == 3
    assert len(told) == 1
    assert told[0].startswith("emberline: error: ")
    assert MISTAKES[mistake][1] in told[0]
    assert "imported []" in ended.stderr


def test_plan_names_missing_raw_files_of_later_stages(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(ROWS)
    settings = RIGHT + '\n[attributes.items]\npath = "products.csv"\ncolumns = { id = "id" }'
    ended = _ends(tmp_path, "plan", settings)
    assert ended.returncode == 3
    assert "products.csv does not exist" in ended.stderr


@pytest.mark.faults
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_gigabyte_is_looked_at_within_three_seconds(tmp_path: Path, mistake: str) -> None:
    with (tmp_path / "log.csv").open("w") as file:
        file.write(ROWS * 20)
        file.truncate(1 << 30)
    began = _seconds()
    ended = _ends(tmp_path, "run", MISTAKES[mistake][0])
    assert ended.returncode == 3
    assert MISTAKES[mistake][1] in ended.stderr
    assert _seconds() - began < 3
