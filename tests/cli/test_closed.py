"""Files and folders that this user may not read: one line each, and the exit code of a set-up that
has to be changed.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of

Several = Callable[..., "subprocess.CompletedProcess[bytes]"]
RUN_ID = "20250101T000000-00000000"
PIPELINE = """
[ratings]
path = "{log}"
value = "one"
columns = {{ user_id = "u", item_id = "i" }}
[als]
"""


@pytest.fixture
def as_a_user() -> Sequence[str]:
    """What starts a program for which permissions count, also where the tests run as root."""
    if os.geteuid():
        return ()
    program = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if not shutil.which("setpriv") or subprocess.run([*program, "true"]).returncode:
        pytest.skip("root cannot lay its rights down here")
    return program


def _write_users(root: Path, wrong: pa.Table | None = None) -> Path:
    """The table `users`; with `wrong`, of a part that is as its manifest says but for columns."""
    schema = TABLES["users"]
    table = pa.table({"user": [0], "user_id": ["anna"]}, schema) if wrong is None else wrong
    folder = root / "users" / manifests.run_folder("0" * 16, RUN_ID)
    part = write_part([table], folder, "part-00000", table.schema)
    by = ProducedBy("prepare-ratings", "0" * 16, RUN_ID)
    manifests.commit(root, Manifest("users", "table", fields_of(schema), 1, [part], by))
    return root / "users" / part.path


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder of roots, each with something closed; a closed log and a closed pipeline."""
    for name in ("root", "manifest", "whole"):
        _write_users(tmp_path / name)
    shut = [_write_users(tmp_path / "part"), tmp_path / "manifest" / "users" / "manifest.json"]
    for name, text in (("log.csv", "u,i\n"), ("shut.toml", ""), ("open.csv", "u,i\na,b\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "night.toml").write_text(PIPELINE.format(log=tmp_path / "log.csv"))
    (tmp_path / "open.toml").write_text(PIPELINE.format(log=tmp_path / "open.csv"))
    shut += [tmp_path / name for name in ("root", "log.csv", "shut.toml")]
    for path in shut:
        path.chmod(0)
    return tmp_path


def test_what_this_user_may_not_read_is_said_in_one_line(
    closed: Path, several: Several, as_a_user: Sequence[str]
) -> None:
    unread = "may not be read by this user; give this user the right to"
    shut_in = f"is in {closed / 'root'}, which this user may not enter"
    expected = [
        (("show", closed / "root"), shut_in),
        (("show", closed / "root" / "users"), shut_in),
        (("verify", closed / "root"), shut_in),
        (("open", closed / "root"), shut_in),
        (("recommend", closed / "root", "--user", "anna"), shut_in),
        (("rollback", closed / "root"), shut_in),
        (("plan", closed / "open.toml", "--root", closed / "root"), shut_in),
        (("prune", closed / "root", "--keep", "1"), "cannot be written to"),
        (("run", closed / "open.toml", "--root", closed / "root"), "cannot be written to"),
        (("publish", closed / "whole", "--to", closed / "root"), "cannot be written to"),
        (("show", closed / "manifest" / "users"), f"users/manifest.json {unread}"),
        (("show", closed / "part" / "users"), f".parquet {unread}"),
        (("export", closed / "part", "users", "--to", "-"), f".parquet {unread}"),
        (("export", closed / "whole", "users", "--to", closed / "root" / "u.csv"), shut_in),
        (("plan", closed / "night.toml"), f"log.csv {unread}"),
        (("plan", closed / "shut.toml"), f"shut.toml {unread}"),
        (("schedule", "cron", closed / "shut.toml"), f"shut.toml {unread}"),
        (("schedule", "cron", closed / "night.toml", "--to", closed / "root"), "may write to"),
        (("publish", closed / "part", "--config", closed / "shut.toml"), f"shut.toml {unread}"),
        (("init", closed / "log.csv", "--to", closed / "new.toml"), f"log.csv {unread}"),
    ]
    done = several([command for command, _ in expected], *as_a_user)
    assert done.stdout.splitlines() == [b"ended with 2"] * len(expected), done.stderr.decode()
    lines = done.stderr.decode().splitlines()
    assert len(lines) == len(expected)
    for (command, part), line in zip(expected, lines, strict=True):
        assert line.startswith("emberline: error: ") and part in line, (command, line)


def test_a_whole_root_is_shown_and_verified_but_for_what_is_closed(
    closed: Path, several: Several, as_a_user: Sequence[str]
) -> None:
    done = several(
        [("show", closed / "manifest"), ("verify", closed / "part")], *as_a_user, NO_COLOR="1"
    )
    shown = done.stdout.decode()
    codes = [line.split()[-1] for line in shown.splitlines() if "ended with" in line]
    assert codes == ["0", "3"] and shown.count("may not be read by this user") == 2
    assert b"1 of the datasets in" in done.stderr and b"Traceback" not in done.stderr


def test_a_part_of_other_columns_than_the_manifest_says_is_told_in_one_line(
    root: Path, several: Several
) -> None:
    part = _write_users(root, pa.table({"who": [0], "user_id": ["anna"]}))
    done = several([("show", root / "users"), ("export", root, "users", "--to", "-")])
    assert done.stdout.splitlines() == [b"ended with 3"] * 2
    for line in done.stderr.decode().splitlines():
        assert line == (
            f"emberline: error: {part} has the columns who int64, user_id string, where the"
            " manifest says user int32, user_id string; rerun prepare-ratings with --force"
        )
