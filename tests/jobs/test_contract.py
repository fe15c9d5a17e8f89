"""What holds for every stage of the table, shown on a small shop's pipeline and with the scripts in jobs/."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from emberline import config as configs
from emberline import runner, stages
from emberline.config import Config
from emberline.datasets import manifest as manifests
from emberline.stages import STAGES, Stage

JOBS = Path(__file__).parents[2] / "jobs"
every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
every_reader = pytest.mark.parametrize("stage", STAGES[1:], ids=lambda stage: stage.name)


def run_ids(root: Path) -> dict[str, str]:
    """Each dataset's run, every part of it checked by its hash."""
    found = {}
    for path in root.glob("*/manifest.json"):
        dataset = manifests.load(root, path.parent.name)
        manifests.verify(dataset)
        found[dataset.name] = dataset.manifest.produced_by.run_id
    return found


def run_folders(root: Path) -> set[Path]:
    return {path for path in root.glob("*/*") if manifests.is_run_folder(path.name)}


def job(stage: Stage, pipeline: Path, root: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    script = JOBS / f"{stage.name.replace('-', '_')}.py"
    arguments = [sys.executable, str(script), "--config", str(pipeline), "--root", str(root), *more]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300)


def status(root: Path, stage: Stage) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "_status" / f"{stage.name}.json").read_text())
    return content


def test_the_small_pipeline_has_every_stage(config: Config) -> None:
    assert tuple(stages.in_pipeline(config)) == STAGES


@every_stage
def test_a_stage_commits_what_its_row_of_the_table_says_under_one_run_id(stage: Stage, config: Config, finished: Path) -> None:
    ids = run_ids(finished)
    assert len({ids[name] for name in stage.writes(config)}) == 1
    assert status(finished, stage)["run_id"] == ids[stage.writes(config)[0]]
    assert status(finished, stage)["state"] == "succeeded"


@every_stage
def test_a_second_run_does_nothing(stage: Stage, pipeline: Path, finished: Path) -> None:
    before = run_ids(finished)
    again = job(stage, pipeline, finished)
    assert again.returncode == 0, again.stderr
    assert f"stage_skipped stage={stage.name} " in again.stderr
    assert run_ids(finished) == before


@every_stage
def test_an_unknown_key_ends_with_exit_code_2_in_one_line(stage: Stage, pipeline: Path, tmp_path: Path) -> None:
    refused = job(stage, pipeline, tmp_path / "root", "--set", f"{stage.section}.nonsense=1")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"emberline: error: small.toml: unknown key {stage.section}.nonsense")
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "root").exists()


@every_reader
def test_an_input_with_a_missing_part_ends_with_exit_code_3_in_one_line(
    stage: Stage, config: Config, pipeline: Path, copy: Path
) -> None:
    dataset = manifests.load(copy, stage.reads(config)[0])
    dataset.paths[0].unlink()
    folders = run_folders(copy)
    refused = job(stage, pipeline, copy, "--force")
    assert refused.returncode == 3
    assert f"{dataset.name}/manifest.json lists {len(dataset.paths)} parts but " in refused.stderr
    assert refused.stderr.rstrip().endswith(f"is missing; rerun {dataset.manifest.produced_by.stage}")
    assert refused.stderr.count("\n") == 1
    assert run_folders(copy) == folders


@every_reader
def test_a_missing_input_names_the_stage_to_run(stage: Stage, config: Config, pipeline: Path, tmp_path: Path) -> None:
    refused = job(stage, pipeline, tmp_path / "root")
    name = stage.reads(config)[0]
    assert refused.returncode == 3
    assert refused.stderr.rstrip().endswith(f"run {stages.producer(config, name)} first")


def test_a_forced_run_replaces_the_datasets_and_leaves_the_old_parts_to_their_readers(
    spark: SparkSession, config: Config, copy: Path
) -> None:
    before, folders = run_ids(copy), run_folders(copy)
    (outcome,) = runner.run(config, copy, stages.select(config, only="train-cosine"), force=True)
    assert outcome.action == "run"
    changed = {name for name, run_id in run_ids(copy).items() if run_id != before[name]}
    assert changed == {"item_neighbors", "user_neighbors"}
    assert folders < run_folders(copy)


def test_changing_the_rank_reruns_what_depends_on_it_and_nothing_else(spark: SparkSession, pipeline: Path, copy: Path) -> None:
    changed = configs.load(pipeline, ["als.rank=3"])
    planned = {decision.stage.name: decision.action for decision in runner.plan(changed, copy, stages.select(changed))}
    outcomes = runner.run(changed, copy, stages.select(changed))
    assert {outcome.stage.name for outcome in outcomes if outcome.action == "run"} == {"train-als", "recommend", "evaluate"}
    assert {outcome.stage.name: outcome.action for outcome in outcomes} == planned
    assert outcomes[2].reason == "als.rank was 4, is 3"


@pytest.mark.parametrize("setting", ["als.blocks=3", "spark.master=local[1]", "spark.driver_memory=3g", "spark.conf.a.b=c"])
def test_changing_where_it_runs_reruns_nothing(setting: str, pipeline: Path, finished: Path) -> None:
    changed = configs.load(pipeline, [setting])
    decisions = runner.plan(changed, finished, stages.select(changed))
    assert {decision.action for decision in decisions} == {"skip"}


def test_outputs_of_two_runs_are_not_joined(spark: SparkSession, config: Config, pipeline: Path, copy: Path) -> None:
    old = (copy / "holdout" / "manifest.json").read_bytes()
    runner.run(config, copy, stages.select(config, only="prepare-ratings"), force=True)
    (copy / "holdout" / "manifest.json").write_bytes(old)
    evaluate = next(stage for stage in STAGES if stage.name == "evaluate")
    refused = job(evaluate, pipeline, copy, "--force")
    assert refused.returncode == 3
    assert "come from different runs of prepare-ratings" in refused.stderr
    assert refused.stderr.count("\n") == 1
