"""The `emberline` command: what it prints, how it ends, and what it does not import."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pytest
import typer

from emberline.cli import main as entry
from emberline.cli.app import app
from emberline.cli.stage import run_stage
from emberline.datasets import lock
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset, Manifest, ProducedBy
from emberline.datasets.parts import write_file, write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.doctor.probes import Answer, Probes
from emberline.errors import DataError
from emberline.runs import status as statuses
from emberline.runs.status import Status

PIPELINE = """
[ratings]
path = "data/ratings.csv"
columns = { user_id = "u", item_id = "i", value = "v" }
[als]
[recommend]
"""
SHOP = "[shop]\nnum_items = 10\nnum_users = 10\nnum_events = 100\n"
RUN_ID = "20250101T000000-00000000"
Rows = Sequence[tuple[object, ...]]
Several = Callable[..., "subprocess.CompletedProcess[bytes]"]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Ended:
    """How the command ended."""

    code: int
    out: str
    err: str


Emberline = Callable[..., Ended]


@pytest.fixture
def emberline(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_logging: None,
) -> Emberline:
    """`emberline(*arguments)` is the command, run in this process and in the test's folder."""
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["emberline", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            entry.main()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return Ended(code, *capsys.readouterr())

    return run_command


@pytest.fixture
def own_logging() -> Iterator[None]:
    """The command sends log lines to this test's standard error; later tests must not find that."""
    logger = logging.getLogger("emberline")
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers.clear()
    yield
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """The pipeline, and the log that it reads."""
    path = tmp_path / "night.toml"
    path.write_text(PIPELINE)
    write_file(b"u,i,v\n" + b"anna,tea,1\n" * 5, tmp_path, "data/ratings.csv")
    return path


def _publish(
    root: Path, name: str, rows: Rows, stage: str = "prepare-ratings", run_id: str = RUN_ID
) -> Dataset:
    schema = TABLES[name]
    folder = root / name / manifests.run_folder("0" * 16, run_id)
    table = pa.Table.from_pylist(
        [dict(zip(schema.names, row, strict=True)) for row in rows], schema
    )
    part = write_part([table], folder, "part-00000", schema)
    produced_by = ProducedBy(stage, "0" * 64, run_id)
    manifests.commit(
        root, Manifest(name, "table", fields_of(schema), len(rows), [part], produced_by)
    )
    return manifests.load(root, name)


@pytest.fixture
def published(root: Path) -> Path:
    """A root with recommendations for one user, and an artifact."""
    _publish(root, "users", [(0, "anna"), (1, "bo")])
    _publish(root, "items", [(5, "i5", "Five [red]\x1b[31m"), (6, "i6", None)])
    _publish(
        root,
        "recommendations",
        [(0, 1, 6, 0.75, "als"), (0, 2, 5, 0.5, "popular")],
        stage="recommend",
    )
    folder = root / "shop" / manifests.run_folder("0" * 16, RUN_ID)
    part = write_file(b"a,b\n", folder, "events.csv")
    manifests.commit(
        root,
        Manifest("shop", "artifact", [], 0, [part], ProducedBy("generate-shop", "0" * 64, RUN_ID)),
    )
    return root


def _assert_one_line(ended: Ended, code: int, *parts: str) -> None:
    """An error with a message is one line on standard error, without a traceback, and its exit
    code.
    """
    assert ended.code == code
    assert ended.out == ""
    assert ended.err.startswith("emberline: error: ")
    assert ended.err.endswith("\n")
    assert len(ended.err.splitlines()) == 1
    assert "Traceback" not in ended.err
    for part in parts:
        assert part in ended.err


@pytest.fixture
def no_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor starts neither Java nor Spark nor TensorFlow: what they say is its own tests'."""
    unasked = Answer(failure="was not asked")
    monkeypatch.setattr(Probes, "ask", lambda self, command, environment: unasked)
    # a session of an earlier test has set it, and a run asks that Python before it begins
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)


def test_a_password_in_a_uri_is_shown_nowhere(
    emberline: Emberline, tmp_path: Path, pipeline: Path, no_probes: None
) -> None:
    uri = "jdbc:db://anna:hush@shop/log?token=hush"
    for command in ("run", "plan", "doctor"):
        ended = emberline(command, pipeline, "--set", f"ratings.path={uri}")
        assert ended.code == 2
        assert "hush" not in ended.out + ended.err and "anna" not in ended.out + ended.err
    ended = emberline("doctor", pipeline, "--set", f"ratings.path={uri}", "--format", "json")
    assert "hush" not in ended.out and "jdbc:db://***@shop/log?***" in ended.out
    statuses = [path.read_text() for path in tmp_path.rglob("_status/*.json")]
    assert statuses and not any("hush" in status for status in statuses)


def test_no_command_imports_a_framework_that_it_does_not_use(
    several: Several, pipeline: Path, published: Path, tmp_path: Path
) -> None:
    done = several(
        [
            ("plan", pipeline, "--root", tmp_path / "new"),
            ("show", published / "users"),
            ("recommend", published, "--user", "anna"),
        ],
        PYTHONPROFILEIMPORTTIME="1",
    )
    assert done.stdout.count(b"ended with 0") == 3, done.stderr
    lines = done.stderr.decode().splitlines()
    imported = {
        line.split("|")[-1].strip().partition(".")[0]
        for line in lines
        if line.startswith("import time:")
    }
    assert {"emberline", "pyarrow", "typer"} <= imported
    assert not imported & {"pyspark", "py4j", "tensorflow", "keras"}


def test_a_plan_is_a_table(emberline: Emberline, pipeline: Path) -> None:
    ended = emberline("plan", pipeline)
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[:2] for line in ended.out.splitlines() if "run" in line] == [
        ["prepare-ratings", "run"],
        ["split-ratings", "run"],
        ["train-als", "run"],
        ["recommend", "run"],
    ]


def test_a_plan_may_be_json(emberline: Emberline, tmp_path: Path, pipeline: Path) -> None:
    ended = emberline("plan", pipeline, "--format", "json")
    planned = json.loads(ended.out)
    assert [(row["stage"], row["action"], row["reason"]) for row in planned] == [
        ("prepare-ratings", "run", "never run here"),
        ("split-ratings", "run", "prepare-ratings runs before"),
        ("train-als", "run", "split-ratings runs before"),
        ("recommend", "run", "prepare-ratings runs before"),
    ]
    root = f"{tmp_path}/runs/night"
    assert planned[2]["inputs"] == {"ratings": root}


def test_a_plan_reads_what_the_root_lacks_from_a_base(
    emberline: Emberline, tmp_path: Path, pipeline: Path
) -> None:
    for name in ("ratings", "users", "items"):
        _publish(tmp_path / "base", name, [])
    arguments = ("--only", "train-als", "--base", tmp_path / "base", "--format", "json")
    (row,) = json.loads(emberline("plan", pipeline, *arguments).out)
    assert row["inputs"] == {"ratings": f"{tmp_path}/base"}
    pipeline.write_text(f'base = "../base"\n{pipeline.read_text()}')
    (pipeline.parent / "below").mkdir()
    below = pipeline.rename(pipeline.parent / "below" / pipeline.name)
    (row,) = json.loads(emberline("plan", below, "--only", "train-als", "--format", "json").out)
    assert row["inputs"] == {"ratings": f"{below.parent}/../base"}


def test_show_lists_what_is_in_the_base_and_not_in_the_root(
    emberline: Emberline, tmp_path: Path
) -> None:
    _publish(tmp_path / "root", "ratings", [])
    for name in ("ratings", "users"):
        _publish(tmp_path / "base", name, [])
    shown = emberline("show", tmp_path / "root", "--base", tmp_path / "base").out
    here, there = (
        {line.split()[0] for line in part.splitlines() if "prepare-" in line}
        for part in shown.split("and not here:")
    )
    assert (here, there) == ({"ratings"}, {"users"})


def test_a_base_that_is_the_root_is_a_mistake(
    emberline: Emberline, tmp_path: Path, pipeline: Path
) -> None:
    ended = emberline("run", pipeline, "--root", tmp_path, "--base", tmp_path)
    assert ended.code == 2 and "a base is another root" in ended.err


def test_a_plan_may_begin_at_a_stage_or_be_of_one(
    emberline: Emberline, tmp_path: Path, pipeline: Path
) -> None:
    root = tmp_path / "runs" / "night"
    for name in ("interactions", "ratings", "users", "items"):
        _publish(root, name, [])
    planned = json.loads(emberline("plan", pipeline, "--format", "json", "--from", "train-als").out)
    assert [row["stage"] for row in planned] == ["train-als", "recommend"]
    planned = json.loads(emberline("plan", pipeline, "--format", "json", "--only", "train-als").out)
    assert [row["stage"] for row in planned] == ["train-als"]


def test_a_schedule_is_printed_or_written(
    emberline: Emberline, pipeline: Path, tmp_path: Path
) -> None:
    for style, first, names in (
        (
            "airflow",
            '"""The Emberline pipeline night, every hour at :15 UTC',
            ["emberline_night.py"],
        ),
        ("cron", "# The Emberline pipeline night, every hour at :15", ["emberline-night.crontab"]),
        (
            "systemd",
            "# emberline-night.service, made by",
            ["emberline-night.service", "emberline-night.timer"],
        ),
    ):
        printed = emberline("schedule", style, pipeline, "--at", ":15")
        assert (printed.code, printed.err) == (0, "")
        assert printed.out.startswith(first)
        written = emberline("schedule", style, pipeline, "--at", ":15", "--to", "units/new")
        paths = [Path("units", "new", name) for name in names]
        assert written.out.splitlines() == [f"wrote {path}" for path in paths]
        assert "\n".join((tmp_path / path).read_text() for path in paths) == printed.out


def test_a_schedule_runs_the_command_that_wrote_it(emberline: Emberline, pipeline: Path) -> None:
    program = Path(sys.executable).with_name("emberline")
    line = emberline("schedule", "cron", pipeline, "--set", "als.rank=8").out.splitlines()[-1]
    assert line.startswith("0 3 * * * cd ")
    assert f"{program} run {pipeline} --set als.rank=8; }} >> " in line
    line = emberline("schedule", "cron", pipeline, "--base", "other").out.splitlines()[-1]
    assert f"{program} run {pipeline} --base {pipeline.parent / 'other'}; }} >> " in line


def test_a_schedule_passes_the_day_on_to_a_pipeline_that_has_a_use_for_it(
    emberline: Emberline, pipeline: Path
) -> None:
    for arguments, dates in (
        ((), {"airflow": "", "cron": "", "systemd": ""}),
        (
            ("--set", "ratings.path=in/{date}.csv"),
            {"airflow": '"--date", self.date', "cron": r"+\%F", "systemd": "+%%F"},
        ),
        (
            ("--root", "in/{date}"),
            {"airflow": '"--date", self.date', "cron": r"+\%F", "systemd": "+%%F"},
        ),
    ):
        for style, date in dates.items():
            planned = emberline("schedule", style, pipeline, *arguments)
            assert planned.code == 0, planned.err
            assert ("--date" in planned.out, date in planned.out) == (bool(date), True)
            assert all(Path(word).name in planned.out for word in arguments[1:])


def test_what_no_scheduler_can_use_is_refused(emberline: Emberline, pipeline: Path) -> None:
    for arguments, parts in (
        (("--submit", "spark-submit"), ("--submit does not go with cron",)),
        (("--at", "noon"), ("--at noon: expected a time",)),
        (("--to", pipeline), (f"--to {pipeline}: ", "give a folder")),
    ):
        _assert_one_line(emberline("schedule", "cron", pipeline, *arguments), 2, *parts)
    ended = emberline("schedule", "anacron", pipeline)
    assert ended.code == 2 and "'airflow', 'cron', 'systemd'" in ended.err


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        (("plan", "p.toml", "--format", "cron"), "emberline schedule cron PIPELINE.toml"),
        (("plan", "p.toml", "--format=airflow", "--to", "x"), "emberline schedule airflow"),
        (("plan", "p.toml", "--at", "03:00"), "emberline schedule airflow|cron|systemd"),
        (("publish", "root", "--rollback", "--to", "x"), "emberline rollback DIR"),
    ],
)
def test_an_option_that_is_a_command_now_says_which(
    emberline: Emberline, arguments: tuple[str, ...], instead: str
) -> None:
    ended = emberline(*arguments)
    assert ended.code == 2
    last = ended.err.splitlines()[-1]
    assert last.startswith(f"Instead of {arguments[0]} --") and instead in last
    assert "Instead of" not in emberline("plan", "gone.toml", "--set", "a=airflow").err


def test_the_root_is_the_option_then_the_file_then_its_name(
    emberline: Emberline, pipeline: Path, tmp_path: Path
) -> None:
    for root, arguments in (
        ("runs/night", ()),
        ("in/file", ("--set", "root=in/file")),
        ("in/option", ("--set", "root=in/file", "--root", "in/option")),
        ('in/"\\🔥', ("--root", 'in/"\\🔥')),
        ("in/uri", ("--root", (tmp_path / "in" / "uri").as_uri())),
    ):
        ended = emberline("plan", pipeline, "--only", "train-als", *arguments)
        _assert_one_line(
            ended,
            3,
            f"train-als reads ratings, which is not in {tmp_path / root}; run split-ratings first",
        )


def test_a_run_runs_and_a_second_one_has_nothing_to_do(
    emberline: Emberline, tmp_path: Path
) -> None:
    (tmp_path / "shop.toml").write_text(SHOP)
    first = emberline("run", "shop.toml")
    assert (first.code, first.err) == (0, "")
    assert "This pipeline's shop is generated" in first.out
    assert "(never run here)" in first.out
    assert manifests.exists(tmp_path / "runs" / "shop", "shop")
    second = emberline("run", "shop.toml")
    assert "Nothing to do: all 1 stages are up to date." in second.out
    forced = emberline("run", "shop.toml", "--force", "--verbose")
    assert "(forced)" in forced.out
    assert "stage_finished stage=generate-shop" in forced.err


def test_a_script_for_spark_submit_runs_its_stage_and_logs_it(
    emberline: Emberline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.toml").write_text(SHOP)
    monkeypatch.setattr(entry, "main", lambda: run_stage("generate-shop"))
    ended = emberline("--config", "shop.toml", "--root", "there", "--set", "shop.seed=2")
    assert ended.code == 0
    assert ended.out == ""
    assert "stage_finished stage=generate-shop" in ended.err
    assert manifests.load(tmp_path / "there", "shop").manifest.seed == 2


def test_mistakes_in_a_pipeline_end_with_2(emberline: Emberline, pipeline: Path) -> None:
    _assert_one_line(
        emberline("plan", pipeline, "--set", "als.rnak=5"),
        2,
        "unknown key als.rnak (did you mean rank?)",
    )
    _assert_one_line(
        emberline("run", pipeline, "--set", "als.rank=no"), 2, "night.toml: als.rank", "found 'no'"
    )
    _assert_one_line(emberline("run", "gone.toml"), 2, "gone.toml is not a file")
    _assert_one_line(
        emberline("run", pipeline, "--only", "evaluate"),
        2,
        "evaluate is not a stage of this pipeline",
    )
    _assert_one_line(
        emberline("run", pipeline, "--root", "ftp://b/k"), 2, "scheme ftp:// is not supported"
    )


def test_missing_input_ends_with_3(emberline: Emberline, pipeline: Path) -> None:
    (pipeline.parent / "data" / "ratings.csv").unlink()
    _assert_one_line(emberline("run", pipeline), 3, "data/ratings.csv does not exist")
    _assert_one_line(
        emberline("run", pipeline, "--only", "recommend"), 3, "run prepare-ratings first"
    )


def test_a_message_of_several_lines_is_told_on_one(emberline: Emberline, pipeline: Path) -> None:
    _assert_one_line(
        emberline("run", pipeline, "--set", "ratings.path=two\nlines\x1b"),
        3,
        r"two\nlines\x1b does not exist",
    )


def test_what_is_no_folder_of_ours_is_told(emberline: Emberline, root: Path) -> None:
    _assert_one_line(
        emberline("show", root / "users"),
        2,
        "root/users is not a folder; give a dataset's folder or a root",
    )
    _assert_one_line(emberline("verify", "ftp://bucket/users"), 2, "scheme ftp:// is not supported")
    _assert_one_line(
        emberline("prune", root, "--keep", 1),
        2,
        "root is not a folder; give the root of a pipeline",
    )
    (root / "users").mkdir(parents=True)
    for name in ("show", "verify"):
        _assert_one_line(emberline(name, root / "users"), 3, "users has no manifest.json")
    _assert_one_line(
        emberline("recommend", root, "--user", "anna"), 3, "there is no dataset recommendations"
    )


def test_wrong_usage_ends_with_2(emberline: Emberline, published: Path) -> None:
    for arguments in (
        ("shwo",),
        ("show", published / "users", "--rows", "-1"),
        ("prune", published, "--keep", "0"),
    ):
        ended = emberline(*arguments)
        assert ended.code == 2
        assert "Traceback" not in ended.err


def test_an_error_nobody_expected_keeps_its_traceback_and_ends_with_1(
    emberline: Emberline, tmp_path: Path, root: Path
) -> None:
    (tmp_path / "shop.toml").write_text(SHOP)
    root.mkdir()
    (root / "shop").write_text("a file where a folder should be")
    ended = emberline("run", "shop.toml", "--root", root)
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "NotADirectoryError" in ended.err


def test_show_prints_the_facts_and_the_first_rows(emberline: Emberline, published: Path) -> None:
    ended = emberline("show", published / "items", "--rows", 1)
    assert (ended.code, ended.err) == (0, "")
    assert "items (table)" in ended.out
    assert "2 in 1 parts" in ended.out
    assert r"Five [red]\x1b[31m" in ended.out
    assert "i6" not in ended.out


def test_show_takes_a_uri_and_a_slash_at_the_end(emberline: Emberline, published: Path) -> None:
    for folder in ((published / "items").as_uri(), f"{published}/items/"):
        assert "items (table)" in emberline("show", folder).out


def test_show_prints_no_rows_of_an_artifact(emberline: Emberline, published: Path) -> None:
    ended = emberline("show", published / "shop")
    assert ended.code == 0
    assert "shop (artifact)" in ended.out


def test_verify_counts_what_is_right(emberline: Emberline, published: Path) -> None:
    size = manifests.load(published, "users").paths[0].stat().st_size
    ended = emberline("verify", published / "users")
    assert (ended.code, ended.out) == (
        0,
        f"users: 1 parts, 2 rows, {size:,} bytes, every sha256 is right\n",
    )


def test_verify_names_the_part_in_which_a_bit_was_flipped(
    emberline: Emberline, published: Path
) -> None:
    path = manifests.load(published, "users").paths[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    _assert_one_line(
        emberline("verify", published / "users"),
        3,
        f"users/{path.parent.name}/{path.name} was altered",
    )


def test_a_damaged_part_is_told_in_one_line(emberline: Emberline, published: Path) -> None:
    path = manifests.load(published, "users").paths[0]
    path.write_bytes(bytes(path.stat().st_size))
    _assert_one_line(emberline("show", published / "users"), 3, f"{path} cannot be read")
    _assert_one_line(
        emberline("recommend", published, "--user", "anna"), 3, f"{path} cannot be read"
    )


def test_prune_removes_old_runs_and_says_which(emberline: Emberline, published: Path) -> None:
    old = manifests.load(published, "users").paths[0].parent
    _publish(published, "users", [(0, "anna")], run_id="20250102T000000-00000000")
    _age(old, minutes=50)
    spared = emberline("prune", published, "--keep", 1)
    assert (
        spared.out
        == "0 folders removed; spared are the current runs and what changed in the last 1 hours\n"
    )
    _age(old, minutes=70)
    ended = emberline("prune", published, "--keep", 1)
    assert (ended.code, ended.out.splitlines()[:2]) == (
        0,
        [f"removed {old}", spared.out.strip().replace("0 f", "1 f", 1)],
    )
    assert not old.exists()
    assert emberline("verify", published / "users").code == 0


def _age(folder: Path, minutes: float) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, (time.time() - 60 * minutes,) * 2)


def test_recommend_prints_a_users_list(emberline: Emberline, published: Path) -> None:
    ended = emberline("recommend", published, "--user", "anna")
    assert (ended.code, ended.err) == (0, "")
    assert "for user anna" in ended.out
    assert [
        line.split() for line in ended.out.splitlines() if line.split()[:1] in (["1"], ["2"])
    ] == [
        ["1", "i6", "0.7500", "als"],
        ["2", "i5", "Five", r"[red]\x1b[31m", "0.5000", "popular"],
    ]
    assert "i5" not in emberline("recommend", published, "--user", "anna", "-k", 1).out


def test_recommend_for_an_unknown_user_prints_what_is_popular(
    emberline: Emberline, published: Path
) -> None:
    _publish(published, "popular_items", [(1, 6, 3.0)], stage="recommend")
    ended = emberline("recommend", published, "--user", "zoe")
    assert (ended.code, ended.err) == (0, "")
    assert "User zoe is unknown here. This is what is popular:" in ended.out
    assert ["1", "i6", "3.0000", "popular"] in [line.split() for line in ended.out.splitlines()]
    emberline("publish", published, "--to", "served")
    assert (
        r"User zoe\udce9 is unknown here."
        in emberline("recommend", "served", "--user", "zoe\udce9").out
    )
    assert "unknown" not in emberline("recommend", "served", "--user", "anna").out


def test_recommend_for_an_unknown_user_says_which_ids_look_right(
    emberline: Emberline, published: Path
) -> None:
    _assert_one_line(
        emberline("recommend", published, "--user", "zoe"),
        3,
        "no user 'zoe'",
        "(such as 'anna', 'bo')",
    )
    _assert_one_line(
        emberline("recommend", published, "--user", "bo"), 3, "user 'bo' has no recommendations"
    )


def test_what_was_published_is_shown_and_read_where_it_was_published(
    emberline: Emberline, published: Path, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    arguments = ("publish", published, "--to", served)
    ended = emberline(
        *arguments, "--gate", "rows.recommendations >= 2", "--gate", "rows.users >= 0.5 * previous"
    )
    assert (ended.code, ended.err) == (0, "")
    assert "rows.recommendations >= 2" in ended.out and "there is no previous release" in ended.out
    assert "recommendations 2, users 2, items 2" in ended.out and "Before it: nothing" in ended.out
    assert "Nothing to do" in emberline(*arguments).out
    assert "i6" in emberline("recommend", served, "--user", "anna").out
    assert "prepare-ratings" in emberline("show", served / "items").out


def test_a_refused_publish_names_its_gate_and_ends_with_3(
    emberline: Emberline, published: Path, tmp_path: Path
) -> None:
    ended = emberline(
        "publish", published, "--to", tmp_path / "served", "--gate", "rows.recommendations > 2"
    )
    _assert_one_line(
        ended, 3, "nothing is published there; rows.recommendations > 2: found 2, the limit is 2"
    )


def test_gates_and_place_may_come_from_the_pipeline_file(
    emberline: Emberline, published: Path, pipeline: Path, tmp_path: Path
) -> None:
    served = tmp_path / "served-{date:%Y}"
    pipeline.write_text(
        pipeline.read_text()
        + f'\n[publish]\nto = "{served}"\ngates = ["rows.users > 2"]\ntables = ["users"]\n'
    )
    arguments = ("publish", published, "--config", pipeline, "--date", "2025-03-01")
    _assert_one_line(emberline(*arguments), 3, "rows.users > 2")
    ended = emberline(*arguments, "--gate", "rows.users >= 2")
    assert (
        ended.code == 0
        and "from" in ended.out
        and (tmp_path / "served-2025" / "current.json").is_file()
    )
    assert "users 2" in ended.out and "items" not in ended.out
    in_file = (
        "--config",
        pipeline,
        "--set",
        f"root={published}",
        "--set",
        f"publish.to={tmp_path / 'other'}",
        "--set",
        "publish.gates=[]",
    )
    assert emberline("publish", *in_file).code == 0
    assert (tmp_path / "other" / "current.json").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--to", "x"),
        ("root",),
        ("r", "--to", "x", "--set", "a=1"),
    ],
)
def test_publish_says_what_it_needs(emberline: Emberline, arguments: tuple[str, ...]) -> None:
    _assert_one_line(
        emberline("publish", *arguments),
        2,
        "give ROOT --to DIR to publish, or --config PIPELINE.toml with a publish.to",
    )


@pytest.mark.parametrize("arguments", [(), ("x", "--set", "a=1")])
def test_rollback_says_what_it_needs(emberline: Emberline, arguments: tuple[str, ...]) -> None:
    _assert_one_line(emberline("rollback", *arguments), 2, "give DIR, where releases are published")


def test_a_rollback_brings_back_what_was_before(
    emberline: Emberline, published: Path, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    emberline("publish", published, "--to", served)
    _publish(
        published,
        "recommendations",
        [(1, 1, 6, 0.5, "als")],
        stage="recommend",
        run_id="20250102T000000-00000000",
    )
    emberline("publish", published, "--to", served)
    assert "i6" in emberline("recommend", served, "--user", "bo").out
    ended = emberline("rollback", served)
    assert (ended.code, ended.err) == (0, "") and "Before it: nothing" in ended.out
    _assert_one_line(
        emberline("recommend", served, "--user", "bo"), 3, "'bo' has no recommendations"
    )
    _assert_one_line(emberline("rollback", served), 3, "has none before it to go back to")


def test_where_to_roll_back_may_come_from_the_pipeline_file(
    emberline: Emberline, published: Path, pipeline: Path, tmp_path: Path
) -> None:
    pipeline.write_text(pipeline.read_text() + f'\n[publish]\nto = "{tmp_path / "served"}"\n')
    emberline("publish", published, "--config", pipeline)
    _assert_one_line(
        emberline("rollback", "--config", pipeline), 3, "has none before it to go back to"
    )


def test_a_run_beside_another_is_told_who_holds_the_lock(
    emberline: Emberline, pipeline: Path, root: Path
) -> None:
    with lock.hold(root):
        _assert_one_line(
            emberline("run", pipeline, "--root", root), 75, f"is in use by process {os.getpid()} on"
        )


def test_a_date_fills_the_texts_of_the_file_and_the_root(
    emberline: Emberline, pipeline: Path, tmp_path: Path
) -> None:
    pipeline.write_text(pipeline.read_text().replace("path = ", 'path = "{date}.csv" # '))
    _assert_one_line(
        emberline("plan", pipeline),
        2,
        "ratings: path holds {date}; say which with --date YYYY-MM-DD",
    )
    ended = emberline("run", pipeline, "--date", "2025-03-01", "--root", tmp_path / "{date:%d}")
    _assert_one_line(ended, 3, "2025-03-01.csv does not exist")
    assert (tmp_path / "01" / "_status" / "prepare-ratings.json").is_file()
    assert emberline("plan", pipeline, "--date", "yesterday").code == 2


def test_the_version_is_that_of_the_package(emberline: Emberline) -> None:
    ended = emberline("--version")
    assert (ended.code, ended.out) == (0, f"emberline {metadata.version('emberline')}\n")


def test_every_commands_help_says_all_that_is_written_of_it(emberline: Emberline) -> None:
    """Words in brackets are neither styles nor lost."""
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        shown = "".join(emberline(name, "--help").out.split())
        texts = [
            command.help,
            *(option.help for option in command.params if getattr(option, "help", None)),
        ]
        for text in texts:
            assert "".join(text.split()) in shown, (name, text)
    assert "[publish]" in emberline("publish", "--help").out


def test_the_list_of_commands_cuts_no_sentence(
    emberline: Emberline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = emberline("--help").out.partition("Commands:")[2].strip().splitlines()
    names = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [line.split()[0] for line in shown] == list(names)
    assert all(line.endswith(".") and not line.endswith("...") for line in shown)


def test_completion_is_offered_for_the_shell(emberline: Emberline) -> None:
    assert "--install-completion" in emberline("--help").out


def test_a_root_whose_name_looks_like_markup_is_a_root_like_others(
    emberline: Emberline, tmp_path: Path
) -> None:
    (tmp_path / "shop.toml").write_text(SHOP + "[report]\n")
    root = tmp_path / "[" / "red]:smile:"
    ended = emberline("run", "shop.toml", "--root", root)
    assert (ended.code, ended.err) == (0, "")
    assert f"Report: {root}/report/" in ended.out
    assert emberline("verify", root / "shop").code == 0
    assert "[/red]" in emberline("run", "shop.toml", "--only", "[/red]").err


def test_show_lists_what_is_in_a_root(emberline: Emberline, published: Path) -> None:
    path = manifests.load(published, "users").paths[0]
    path.write_bytes(path.read_bytes()[:-1])
    begun = Status("prepare-ratings", "running", RUN_ID, "0" * 64)
    statuses.write(published, begun.ended(DataError("no data"), 1.0, {}))
    ended = emberline("show", published)
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines()]
    assert next(line for line in lines if line[:1] == ["items"])[:3] == ["items", "2", "1"]
    # parts and bytes, no rows
    assert next(line for line in lines if line[:1] == ["shop"])[1:3] == ["1", "4"]
    assert "users: users/manifest.json lists 1 parts but" in ended.out
    assert next(line for line in lines if line[:1] == ["prepare-ratings"])[1] == "failed"


def test_verify_checks_all_that_is_in_a_root_and_names_what_is_damaged(
    emberline: Emberline, published: Path
) -> None:
    whole = emberline("verify", published)
    assert (whole.code, whole.err) == (0, "")
    assert [line.partition(":")[0] for line in whole.out.splitlines()] == [
        "items",
        "recommendations",
        "shop",
        "users",
    ]
    for name in ("items", "users"):
        path = manifests.load(published, name).paths[0]
        path.write_bytes(bytes(path.stat().st_size))
    damaged = emberline("verify", published)
    assert damaged.code == 3
    assert (
        damaged.err
        == f"emberline: error: 2 of the datasets in {published} cannot be used: items, users; see"
        " above\n"
    )
    assert len(damaged.out.splitlines()) == 4 and damaged.out.count("was altered") == 2


def test_a_release_is_shown_and_verified_as_a_root_is(
    emberline: Emberline, published: Path, tmp_path: Path
) -> None:
    emberline("publish", published, "--to", tmp_path / "served")
    assert "recommendations" in emberline("show", tmp_path / "served").out
    assert len(emberline("verify", tmp_path / "served").out.splitlines()) == 3


def test_a_table_without_rows_says_so(emberline: Emberline, root: Path) -> None:
    _publish(root, "users", [])
    assert emberline("show", root / "users").out.endswith("no rows\n")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
    ],
)
def test_a_console_of_any_encoding_shows_what_it_can(
    several: Several, published: Path, variables: dict[str, str]
) -> None:
    _publish(published, "items", [(5, "日本", "Zürich"), (6, "i6", None)])
    _publish(published, "popular_items", [(1, 5, 3.0)], stage="recommend")
    done = several(
        [
            ("show", published / "items"),
            ("show", published),
            ("recommend", published, "--user", "anna"),
            ("recommend", published, "--user", b"caf\xe9"),
            ("plan", b"caf\xe9.toml"),
        ],
        **variables,
    )
    codes = [line.split()[-1] for line in done.stdout.splitlines() if b"ended with" in line]
    assert codes == [b"0", b"0", b"0", b"0", b"2"], done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(command: Command, published: Path) -> None:
    _publish(published, "users", [(n, f"user {n:050}") for n in range(2_000)])
    program = (
        f"{sys.executable} -c 'from emberline.cli.main import main; main()' show {published}/users"
        " --rows 2000 | head -3"
    )
    done = subprocess.run(["sh", "-c", program], capture_output=True, text=True, timeout=60)
    assert (len(done.stdout.splitlines()), done.stderr) == (3, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_ends_the_command_in_one_line(
    number: signal.Signals,
) -> None:
    program = f"""
import os, sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "emberline.cli.app":
            os.kill(os.getpid(), {int(number)})
            time.sleep(5)
sys.meta_path.insert(0, Slow())
from emberline.cli.main import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "--version"], capture_output=True, text=True, timeout=60
    )
    expected = (75, "", "emberline: error: stopped; run it again\n")
    assert (done.returncode, done.stdout, done.stderr) == expected
