"""What holds for every stage of the table, shown on two small pipelines and with the scripts in
jobs/.
"""

import doctest
import json
import logging
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from emberline import pipelines, stages
from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.datasets.schema import TABLES
from emberline.errors import DataError
from emberline.runs import plan as plans
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.sections.stage import Stage
from emberline.stages import STAGES

AssertEqualResults = Callable[..., None]

JOBS = Path(__file__).parents[2] / "jobs"
every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
every_reader = pytest.mark.parametrize("stage", STAGES[1:], ids=lambda stage: stage.name)
# prepare-ratings reads files
FLOW_STAGES = [stage for stage in STAGES if stage.engine == "flow"]
every_reader_of_tables = pytest.mark.parametrize("stage", STAGES[2:], ids=lambda stage: stage.name)


@dataclass(frozen=True)
class Home:
    """A pipeline in which a stage is, and a root in which it has run."""

    pipeline: Path
    root: Path

    @property
    def config(self) -> Config:
        return pipelines.load(self.pipeline)


@pytest.fixture
def home(
    stage: Stage, pipeline: Path, config: Config, finished: Path, request: pytest.FixtureRequest
) -> Home:
    if stage in stages.in_pipeline(config):
        return Home(pipeline, finished)
    return Home(*request.getfixturevalue("classes"))


def run_ids(root: Path) -> dict[str, str]:
    """Each dataset's run, every part of it checked by its hash."""
    found = {}
    for path in root.glob("*/manifest.json"):
        dataset = manifests.load(root, path.parent.name)
        damage.verify(dataset)
        found[dataset.name] = dataset.manifest.produced_by.run_id
    return found


def run_folders(root: Path) -> set[Path]:
    return {path for path in root.glob("*/*") if manifests.is_run_folder(path.name)}


@dataclass(frozen=True)
class Ended:
    """How a script ended, and what it wrote to standard error."""

    returncode: int
    stderr: str


def job(stage: Stage, pipeline: Path, root: Path, *more: str) -> Ended:
    """Run the stage's script in a copy of this process, which has imported already what takes a
    second.
    """
    script = JOBS / f"{stage.name.replace('-', '_')}.py"
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            os.dup2(errors.fileno(), 2)
            # for this process, which ends below
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.argv = [str(script), "--config", str(pipeline), "--root", str(root), *more]
            os._exit(_exit_code_of(script))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        errors.seek(0)
        return Ended(code, errors.read().decode())


def _exit_code_of(script: Path) -> int:
    try:
        logging.getLogger("emberline").handlers.clear()  # they write to the tests' standard error
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def status(root: Path, stage: Stage) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "_status" / f"{stage.name}.json").read_text())
    return content


def test_the_small_pipeline_has_every_stage_but_those_of_classes(config: Config) -> None:
    assert [stage.name for stage in STAGES if stage not in stages.in_pipeline(config)] == [
        "prepare-sounds",
        "export-model",
        "train-forest",
        "noisy-counts",
    ]


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        ({"evaluate": {"k": (5,)}}, ["evaluate", "report"]),
        (
            {"recommend": {"refit_iterations": 1}},
            ["refit", "recommend", "explain", "explain-pictures", "report"],
        ),
        (
            {"recommend": {"top_k": 12}},
            ["recommend-holdout", "recommend", "explain", "evaluate", "explain-pictures", "report"],
        ),
    ],
    ids=["k", "iterations", "length of lists"],
)
def test_of_stages_of_one_section_those_run_again_that_use_what_has_changed(
    config: Config, finished: Path, change: dict[str, Any], runs: list[str]
) -> None:
    (section,) = change
    settings = getattr(config, section).model_copy(update=change[section])
    changed = config.model_copy(update={section: settings})
    planned = plans.plan(changed, finished, stages.select(changed))
    assert [decision.stage.name for decision in planned if decision.action == "run"] == runs


def test_items_that_nobody_has_bought_are_in_published_lists_by_their_titles(
    finished: Path,
) -> None:
    """They are in no table of interactions; a place of each list is theirs. Nothing is left for the
    network, which answers for what has a picture alone.
    """
    tables = {
        name: [
            row
            for path in manifests.load(finished, name).paths
            for row in pq.read_table(path).to_pylist()
        ]
        for name in ("recommendations", "interactions", "images")
    }
    bought = {row["item"] for row in tables["interactions"]}
    new = {row["item"] for row in tables["images"] if row["item_id"].startswith("N-")}
    by_titles = {row["item"] for row in tables["recommendations"] if row["model"] == "content"}
    assert len(new) == 4 and not new & bought
    assert by_titles & new and not by_titles & bought
    assert "cnn" not in {row["model"] for row in tables["recommendations"]}


@every_stage
def test_a_stage_commits_what_its_row_of_the_table_says_under_one_run_id(
    stage: Stage, home: Home
) -> None:
    ids = run_ids(home.root)
    assert len({ids[name] for name in stage.writes(home.config)}) == 1
    assert status(home.root, stage)["run_id"] == ids[stage.writes(home.config)[0]]
    assert status(home.root, stage)["state"] == "succeeded"


@every_stage
def test_a_second_run_does_nothing(stage: Stage, home: Home) -> None:
    before = run_ids(home.root)
    again = job(stage, home.pipeline, home.root)
    assert again.returncode == 0, again.stderr
    assert f"stage_skipped stage={stage.name} " in again.stderr
    assert run_ids(home.root) == before


def contents(root: Path) -> dict[str, tuple[int, int]]:
    """Every file of a root, with its size and time."""
    return {
        str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in root.rglob("*")
    }


@every_stage
def test_a_stage_that_is_up_to_date_in_the_base_is_not_run_again(
    stage: Stage, home: Home, tmp_path: Path
) -> None:
    before = contents(home.root)
    skipped = job(stage, home.pipeline, tmp_path / "root", "--base", str(home.root))
    assert skipped.returncode == 0, skipped.stderr
    assert f'stage_skipped stage={stage.name} reason="up to date in {home.root}"' in skipped.stderr
    assert (run_ids(tmp_path / "root"), contents(home.root)) == ({}, before)


@pytest.mark.faults
@every_stage
def test_a_stage_reads_all_of_its_inputs_from_a_base_and_leaves_that_alone(
    stage: Stage, home: Home, tmp_path: Path
) -> None:
    before, root = contents(home.root), tmp_path / "root"
    ended = job(stage, home.pipeline, root, "--base", str(home.root), "--force")
    assert ended.returncode == 0, ended.stderr
    assert contents(home.root) == before
    for name in stage.writes(home.config):
        ours, theirs = (manifests.load(place, name).manifest for place in (root, home.root))
        assert ours.produced_by.fingerprint == theirs.produced_by.fingerprint
        assert (ours.rows, ours.produced_by.run_id != theirs.produced_by.run_id) == (
            theirs.rows,
            True,
        )


@every_stage
def test_an_unknown_key_ends_with_exit_code_2_in_one_line(
    stage: Stage, home: Home, tmp_path: Path
) -> None:
    refused = job(stage, home.pipeline, tmp_path / "root", "--set", f"{stage.section}.nonsense=1")
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        f"emberline: error: {home.pipeline.name}: unknown key {stage.section}.nonsense"
    )
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "root").exists()


@every_reader
def test_an_input_with_a_missing_part_ends_with_exit_code_3_in_one_line(
    stage: Stage, home: Home, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(home.root, tmp_path / "root"))
    dataset = manifests.load(copy, stage.reads(home.config)[0])
    dataset.paths[0].unlink()
    folders = run_folders(copy)
    refused = job(stage, home.pipeline, copy, "--force")
    assert refused.returncode == 3
    assert f"{dataset.name}/manifest.json lists {len(dataset.paths)} parts but " in refused.stderr
    assert refused.stderr.rstrip().endswith(
        f"is missing; rerun {dataset.manifest.produced_by.stage}"
    )
    assert refused.stderr.count("\n") == 1
    assert run_folders(copy) == folders


def flip(path: Path, region: str) -> None:
    """Flip a bit at the end of every column's pages, or one in the footer, of a Parquet file."""
    content = bytearray(path.read_bytes())
    group = pq.read_metadata(path).row_group(0)
    places = [len(content) - 60]
    if region == "pages":
        chunks = [group.column(number) for number in range(group.num_columns)]
        begins = [
            min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)))
            for chunk in chunks
        ]
        places = [
            begin + chunk.total_compressed_size - 1
            for begin, chunk in zip(begins, chunks, strict=True)
        ]
    for place in places:
        content[place] ^= 4
    path.write_bytes(content)


def refusal(stage: Stage, config: Config, root: Path) -> str | None:
    """What a forced run, in this process and its session, says of data that it refuses with exit
    code 3; None where it succeeds.
    """
    try:
        runner.run(config, root, stages.select(config, only=stage.name), force=True)
    except DataError as error:
        return str(error)
    return None


@pytest.mark.faults
@pytest.mark.parametrize("region", ["pages", "footer"])
@every_reader_of_tables
def test_a_flipped_bit_in_any_table_that_a_stage_reads_is_noticed_or_changes_nothing(
    stage: Stage,
    region: str,
    spark: SparkSession,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_equal_results: AssertEqualResults,
) -> None:
    """Small parts are compared whole, but for this: it is about what large ones have. That scripts
    tell of such an error in one line is shown above, for a missing part.
    """
    monkeypatch.setattr("emberline.datasets.footers._SMALL", 0)
    noticed = set()
    for name in stage.reads(home.config):
        dataset = manifests.load(home.root, name)
        if dataset.manifest.kind != "table" or not dataset.rows:
            continue
        copy = Path(shutil.copytree(home.root, tmp_path / name))
        path, *_ = manifests.load(copy, name).paths
        flip(path, region)
        if told := refusal(stage, home.config, copy):
            noticed.add(name)
            assert "\n" not in told
            assert path.name in told
            assert f"rerun {dataset.manifest.produced_by.stage} with --force" in told
        else:
            written = [name for name in stage.writes(home.config) if name in TABLES]
            others = [name for name in ("users", "item_attributes") if (copy / name).exists()]
            assert_equal_results(copy, home.root, written or others[:1])
        shutil.rmtree(copy)
    assert noticed


@every_reader
def test_a_missing_input_names_the_stage_to_run(stage: Stage, home: Home, tmp_path: Path) -> None:
    refused = job(stage, home.pipeline, tmp_path / "root")
    name = stage.reads(home.config)[0]
    assert refused.returncode == 3
    assert refused.stderr.rstrip().endswith(f"run {stages.producer(home.config, name)} first")


def test_a_forced_run_replaces_the_datasets_and_leaves_the_old_parts_to_their_readers(
    spark: SparkSession, config: Config, copy: Path
) -> None:
    before, folders = run_ids(copy), run_folders(copy)
    (outcome,) = runner.run(config, copy, stages.select(config, only="train-cosine"), force=True)
    assert outcome.action == "run"
    changed = {name for name, run_id in run_ids(copy).items() if run_id != before[name]}
    assert changed == {"item_neighbors", "user_neighbors"}
    assert folders < run_folders(copy)


def test_changing_the_rank_reruns_what_depends_on_it_and_nothing_else(
    pipeline: Path, finished: Path
) -> None:
    changed = pipelines.load(pipeline, ["als.rank=3"])
    planned = {
        decision.stage.name: decision
        for decision in plans.plan(changed, finished, stages.select(changed))
    }
    upstream = {
        "generate-shop",
        "prepare-ratings",
        "split-ratings",
        "prepare-items",
        "prepare-images",
        "train-cosine",
        "steady-neighbors",
    }
    assert {name for name, decision in planned.items() if decision.action == "skip"} == upstream
    assert planned["train-als"].reason == "als.rank was 4, is 3"


@pytest.mark.faults
def test_a_run_does_what_was_planned(spark: SparkSession, pipeline: Path, copy: Path) -> None:
    changed = pipelines.load(pipeline, ["als.rank=3"])
    planned = {
        decision.stage.name: decision.action
        for decision in plans.plan(changed, copy, stages.select(changed))
    }
    outcomes = runner.run(changed, copy, stages.select(changed))
    assert {outcome.stage.name: outcome.action for outcome in outcomes} == planned


# on Spark each takes some seconds, so that most are among the long tests
OFTEN = {"prepare-items", "split-ratings", "train-als", "train-content", "recommend"}


@pytest.mark.parametrize(
    ("stage", "blocks"),
    [
        pytest.param(
            stage,
            blocks,
            marks=[] if blocks == 3 and stage.name in OFTEN else [pytest.mark.faults],
            id=f"{stage.name}-{blocks}",
        )
        for stage in FLOW_STAGES
        for blocks in (1, 3, 7)
    ],
)
def test_a_stage_of_blocks_writes_the_same_tables_here_and_on_spark(
    spark: SparkSession,
    stage: Stage,
    blocks: int,
    home: Home,
    tmp_path: Path,
    assert_equal_results: AssertEqualResults,
) -> None:
    for engine in ("here", "spark"):
        config = pipelines.load(home.pipeline, [f"als.blocks={blocks}", f"spark.engine={engine}"])
        config = config.model_copy(update={"base": str(home.root)})
        runner.run(config, tmp_path / engine, [stage], force=True)
    assert_equal_results(tmp_path / "spark", tmp_path / "here")


def test_no_stage_of_blocks_needs_java(
    pipeline: Path, finished: Path, classes: tuple[Path, Path], tmp_path: Path
) -> None:
    """Of each pipeline, one process runs them all in a copy of a root in which all have run."""
    shown = set()
    for number, (path, undisturbed) in enumerate([(pipeline, finished), classes]):
        root = Path(shutil.copytree(undisturbed, tmp_path / f"{number}"))
        mine = [stage for stage in FLOW_STAGES if stage in stages.in_pipeline(pipelines.load(path))]
        names = ",".join(stage.name for stage in mine)
        command = [str(Path(sys.executable).with_name("emberline")), "run", str(path), "--force"]
        command += ["--only", names, "--root", str(root), "--set", "spark.engine=here"]
        no_java = {**os.environ, "PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)}
        done = subprocess.run(command, env=no_java, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for stage in mine:
            assert status(root, stage)["state"] == "succeeded"
            assert status(root, stage)["run_id"] != status(undisturbed, stage)["run_id"]
        shown |= {stage.name for stage in mine}
    assert shown == {stage.name for stage in FLOW_STAGES}


@pytest.mark.parametrize(
    "setting",
    [
        "als.blocks=3",
        "spark.engine=spark",
        "spark.master=local[1]",
        "spark.driver_memory=3g",
        "spark.conf.a.b=c",
        "cnn.checkpoint_steps=3",
    ],
)
def test_changing_where_it_runs_reruns_nothing(
    setting: str, pipeline: Path, finished: Path
) -> None:
    changed = pipelines.load(pipeline, [setting])
    decisions = plans.plan(changed, finished, stages.select(changed))
    assert {decision.action for decision in decisions} == {"skip"}


def test_outputs_of_two_runs_are_not_joined(pipeline: Path, copy: Path) -> None:
    path = copy / "holdout" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["produced_by"]["run_id"] = "20250101T000000-00000000"
    path.write_text(json.dumps(manifest))
    evaluate = next(stage for stage in STAGES if stage.name == "evaluate")
    refused = job(evaluate, pipeline, copy, "--force")
    assert refused.returncode == 3
    assert "come from different runs of split-ratings" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_the_session_of_the_page_about_python_is_true(
    spark: SparkSession, pipeline: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(pipeline, tmp_path / "shop.toml")
    (tmp_path / "runs").mkdir()
    shutil.move(copy, tmp_path / "runs" / "shop")
    page = JOBS.parent / "docs" / "python.md"
    failed, run = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.REPORT_ONLY_FIRST_FAILURE
    )
    assert run > 10 and not failed
