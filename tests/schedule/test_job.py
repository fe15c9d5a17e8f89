"""Jobs: which commands run a pipeline, found from the shell in which somebody schedules."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emberline.errors import ConfigError
from emberline.schedule import programs
from emberline.schedule.job import Job, Step

MakeJob = Callable[..., Job]


def test_paths_are_absolute_and_the_root_is_passed_on_only_where_it_was_given(
    make_job: MakeJob, tmp_path: Path, program: Path
) -> None:
    pipeline = str(tmp_path / "folder" / "night.toml")
    made = make_job(overrides=("als.rank=8",))
    assert (made.name, made.folder, made.root) == (
        "night",
        tmp_path / "folder",
        tmp_path / "folder" / "runs" / "night",
    )
    assert made.commands == ((str(program), "run", pipeline, "--set", "als.rank=8"),)
    given = make_job(root="there")
    assert given.root == tmp_path / "folder" / "there"
    assert given.commands == ((str(program), "run", pipeline, "--root", str(given.root)),)


def test_a_base_that_was_given_goes_with_every_command_that_runs_a_stage(
    make_job: MakeJob, tmp_path: Path, program: Path
) -> None:
    """Also with the scripts that are submitted."""
    jobs, pipeline = tmp_path / "folder" / "jobs", str(tmp_path / "folder" / "night.toml")
    jobs.mkdir(parents=True)
    for name in ("prepare_ratings", "split_ratings", "train_als", "recommend"):
        (jobs / f"{name}.py").touch()
    there, base = (str(tmp_path / "folder" / name) for name in ("there", "base"))
    options = ("--root", there, "--base", base)
    made = make_job(root="there", base=base)
    assert made.commands == ((str(program), "run", pipeline, *options),)
    submitted = make_job(root="there", base="base", submit=("/opt/spark-submit",))
    script = str(jobs / "recommend.py")
    assert [step.command for step in submitted.steps[-2:]] == [
        ("/opt/spark-submit", script, "--config", pipeline, *options),
        (str(program), "run", pipeline, *options, "--only", "report"),
    ]


def test_a_base_that_the_pipeline_names_is_among_the_places_that_it_needs(
    make_job: MakeJob, tmp_path: Path
) -> None:
    """systemd would hide one in /tmp."""
    base = str(tmp_path / "base")
    assert base in make_job(overrides=(f"base={base}",)).places


def test_a_step_comes_after_the_stages_whose_datasets_it_reads(make_job: MakeJob) -> None:
    assert {step.stage: step.after for step in make_job().steps} == {
        "prepare-ratings": (),
        "split-ratings": ("prepare-ratings",),
        "train-als": ("split-ratings",),
        "recommend": ("prepare-ratings", "train-als"),
        "report": ("prepare-ratings", "split-ratings", "train-als", "recommend"),
    }


def test_only_stages_of_spark_are_submitted(
    make_job: MakeJob, tmp_path: Path, program: Path
) -> None:
    jobs = tmp_path / "folder" / "jobs"
    jobs.mkdir(parents=True)
    for name in ("prepare_ratings", "split_ratings", "train_als", "recommend"):
        (jobs / f"{name}.py").touch()
    made = make_job(submit=("/opt/spark-submit", "--master", "yarn"), root="there")
    pipeline, root = str(tmp_path / "folder" / "night.toml"), str(tmp_path / "folder" / "there")
    submitted = (
        "/opt/spark-submit",
        "--master",
        "yarn",
        str(jobs / "train_als.py"),
        "--config",
        pipeline,
        "--root",
        root,
    )
    assert made.steps[2].command == submitted
    assert made.steps[4].command == (
        str(program),
        "run",
        pipeline,
        "--root",
        root,
        "--only",
        "report",
    )
    assert made.commands == tuple(step.command for step in made.steps)


def test_trainers_on_spark_are_submitted_without_dynamic_allocation(
    make_job: MakeJob, tmp_path: Path
) -> None:
    """All of them have to run at once."""
    jobs = tmp_path / "folder" / "jobs"
    jobs.mkdir(parents=True)
    for name in (
        "prepare_ratings",
        "split_ratings",
        "prepare_images",
        "train_als",
        "export_shards",
        "recommend",
        "train_cnn",
    ):
        (jobs / f"{name}.py").touch()
    sections = (
        '[images]\npath = "pictures"\n[shards]\ntask = "factors"\n[cnn.team]\nlauncher = "spark"\n'
    )
    (command,) = (
        step.command
        for step in make_job(submit=("/opt/spark-submit",), sections=sections).steps
        if step.stage == "train-cnn"
    )
    assert command[:4] == (
        "/opt/spark-submit",
        "--conf",
        "spark.dynamicAllocation.enabled=false",
        str(jobs / "train_cnn.py"),
    )


def test_publishing_comes_last_where_the_pipeline_file_says_to_where(
    make_job: MakeJob, tmp_path: Path, program: Path
) -> None:
    pipeline, section = str(tmp_path / "folder" / "night.toml"), '[publish]\nto = "served"\n'
    command = (str(program), "publish", "--config", pipeline, "--set", "als.rank=8")
    made = make_job(overrides=("als.rank=8",), sections=section)
    assert made.steps[-1] == Step(
        "publish",
        command,
        ("prepare-ratings", "split-ratings", "train-als", "recommend", "report"),
    )
    assert made.commands[1:] == (command,)
    there = str(tmp_path / "folder" / "there")
    assert make_job(root="there", sections=section).commands[1] == (
        str(program),
        "publish",
        there,
        "--config",
        pipeline,
    )
    assert all(step.stage != "publish" for step in make_job(sections="[publish]\nkeep = 2\n").steps)


def test_scripts_that_are_not_there_cannot_be_submitted(make_job: MakeJob) -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"folder/jobs/prepare_ratings.py, which is not there; schedule in the folder that holds"
            r" jobs/"
        ),
    ):
        make_job(submit=("/opt/spark-submit",))


def test_names_that_no_file_can_hold_are_refused(make_job: MakeJob) -> None:
    for text in ("a\nb", "a\x1bb", "a\x85b", "a\udcffb"):
        with pytest.raises(
            ConfigError, match="cannot be scheduled: it holds a control character, or is not UTF-8"
        ):
            make_job(overrides=(f"report.title={text}",))
        with pytest.raises(ConfigError, match="cannot be scheduled"):
            make_job(root=text)


def test_a_secret_is_not_written_into_a_file_that_others_may_read(make_job: MakeJob) -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"^--set spark.conf.spark.hadoop.fs.s3a.secret.key: a scheduler's file keeps no secret"
        ),
    ):
        make_job(overrides=("als.rank=8", "spark.conf.spark.hadoop.fs.s3a.secret.key=hush"))


def test_a_name_becomes_plain_and_stays_different_from_others(make_job: MakeJob) -> None:
    names = [make_job(name=name).name for name in ("a.b-c_1", "a b", "a_b", "a%b", "прод", "тест")]
    assert names[0] == "a.b-c_1"
    assert len(set(names)) == len(names)
    assert all(name.isascii() and not set(name) & set(" %") for name in names)


def test_the_program_is_the_one_of_the_environment_that_schedules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder = _environment(tmp_path, monkeypatch)
    assert programs.find().emberline == (str(bin_folder / "emberline"),)
    (bin_folder / "emberline").unlink()
    with pytest.raises(
        ConfigError, match="venv/bin/emberline is not there: a schedule needs Emberline installed"
    ):
        programs.find()


def test_spark_submit_is_found_as_in_this_shell_and_gets_the_python_of_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder = _environment(tmp_path, monkeypatch)
    submit = programs.find("spark-submit --name 'two words'").submit
    path = f"PATH={bin_folder}:/usr/local/bin:/usr/bin:/bin"
    assert submit == ("/usr/bin/env", path, str(bin_folder / "spark-submit"), "--name", "two words")
    for wrong, told in (
        ("spark-submitt -v", "this program is not there"),
        ("", "not there"),
        ("a 'b", "No closing quotation"),
    ):
        with pytest.raises(ConfigError, match=told):
            programs.find(wrong)


def test_where_java_and_the_cluster_are_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder = _environment(tmp_path, monkeypatch)
    java = tmp_path / "sdk" / "java"
    _program(java)
    monkeypatch.setenv("PATH", str(java.parent))
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop conf")
    path = f"PATH={java.parent}:/usr/local/bin:/usr/bin:/bin"
    assert programs.find().emberline == (
        "/usr/bin/env",
        "HADOOP_CONF_DIR=/etc/hadoop conf",
        path,
        str(bin_folder / "emberline"),
    )
    monkeypatch.setenv("JAVA_HOME", "/opt/java")
    assert programs.find().emberline[1:3] == (
        "JAVA_HOME=/opt/java",
        "HADOOP_CONF_DIR=/etc/hadoop conf",
    )


def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with the two programs, whose Python seems to run this, and a shell that
    knows no Java and no cluster.
    """
    bin_folder = tmp_path / "venv" / "bin"
    for name in ("python", "emberline", "spark-submit"):
        _program(bin_folder / name)
    for name in ("JAVA_HOME", "SPARK_HOME", "HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(bin_folder / "python"))
    return bin_folder


def _program(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o755)
