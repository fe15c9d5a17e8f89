"""The runner on a toy farm: `sow` makes seeds and soil, `grow` makes plants of the seeds, `cook`
makes a meal of plants and soil.

The stages use real sections of the config: the farm's field is `shop`, its care is `als`, its
kitchen is `cosine`.
"""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import emberline
from emberline.datasets import inputs, listing
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Spellings
from emberline.datasets.listing import RawFile
from emberline.datasets.manifest import Manifest
from emberline.datasets.parts import write_file, write_part
from emberline.datasets.schema import USERS
from emberline.errors import (
    ConfigError,
    DataError,
    EmberlineError,
    ManifestError,
    Preempted,
    StorageError,
    TrainingError,
)
from emberline.runs import package, runner, stage_run
from emberline.runs import plan as plans
from emberline.runs import status as statuses
from emberline.runs.plan import Decision
from emberline.runs.runner import Outcome
from emberline.runs.stage_run import StageRun
from emberline.sections.config import Config
from emberline.sections.stage import Stage

LATER = "20990101T000000-00000000"


def sow(run: StageRun[Any]) -> None:
    _yield(run, "seeds", "wheat.txt", f"{run.settings.num_items} grains")
    _yield(run, "soil", "soil.txt", "black")
    run.outputs.measure(grains=run.settings.num_items)


def grow(run: StageRun[Any]) -> None:
    seeds = run.inputs["seeds"].paths[0].read_text()
    _yield(run, "plants", "plants.txt", f"{seeds}, {run.settings.rank} cm high")


def cook(run: StageRun[Any]) -> None:
    texts = [run.inputs[name].paths[0].read_text() for name in ("plants", "soil")]
    _yield(run, "meal", "meal.txt", " on ".join(texts))


def freeze(run: StageRun[Any]) -> None:
    _leave_half(run)
    run.outputs.measure(frozen=1)
    raise DataError("a frost came")


def stumble(run: StageRun[Any]) -> None:
    _leave_half(run)
    raise ZeroDivisionError("the password is hush")


def grow_too_large(run: StageRun[Any]) -> None:
    write_file(bytes(2 << 20), run.outputs.folder("plants"), "plants.txt")


def grow_while_the_disk_fills(run: StageRun[Any]) -> None:
    with suppress(OSError), (run.outputs.root / "of somebody else").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    grow_too_large(run)


def interrupt(run: StageRun[Any]) -> None:
    _leave_half(run)
    raise KeyboardInterrupt


def forget(run: StageRun[Any]) -> None:
    _leave_half(run)


def continue_from_checkpoint(run: StageRun[Any]) -> None:
    """Fails at the first attempt and leaves what the second one needs."""
    checkpoint = run.outputs.work / "step.txt"
    if not checkpoint.exists():
        write_file(b"half grown", run.outputs.work, "step.txt")
        raise Preempted("saved")
    _yield(run, "plants", "plants.txt", f"{checkpoint.read_text()}, then ripe")


def append(run: StageRun[Any]) -> None:
    """Adds a line to what the last run wrote."""
    before = run.outputs.previous("plants")
    _yield(
        run, "plants", "plants.txt", (before.paths[0].read_text() if before else "") + "one more\n"
    )


def copy_status(run: StageRun[Any]) -> None:
    _yield(run, "plants", "plants.txt", (run.outputs.root / "_status" / "grow.json").read_text())


def grow_slowly(run: StageRun[Any]) -> None:
    run.control.progress("half grown")
    grow(run)


def count_raw(run: StageRun[Any]) -> None:
    _yield(run, "plants", "plants.txt", str(len(run.inputs.files(run.settings.path))))


def read_raw(run: StageRun[Any]) -> None:
    files = run.inputs.files(run.settings.path)
    _yield(
        run,
        "plants",
        "plants.txt",
        " ".join(f"{file.relative}={file.path.read_text()}" for file in files),
    )


def read_raw_while_a_file_arrives(run: StageRun[Any]) -> None:
    write_file(b"late", Path(run.settings.path), "late.csv")
    read_raw(run)


def write_users(run: StageRun[Any]) -> None:
    tables = [pa.table({"user": [n], "user_id": [f"u{n}"]}, schema=USERS) for n in range(2)]
    parts = [
        write_part([table], run.outputs.folder("users"), f"part-{n:05d}", USERS)
        for n, table in enumerate(tables)
    ]
    run.outputs.add("users", parts, Spellings({"users": 2}), rank=7, seed=3)
    assert run.outputs.written("users").paths[0].is_file()
    assert not manifests.exists(run.outputs.root, "users")


def _yield(run: StageRun[Any], name: str, file: str, text: str) -> None:
    run.outputs.add(name, [write_file(text.encode(), run.outputs.folder(name), file)])


def _leave_half(run: StageRun[Any]) -> None:
    write_file(b"half", run.outputs.scratch, "temporary.txt")
    write_file(b"half", run.outputs.folder("plants"), "plants.txt")


def _stage(
    name: str, section: str, function: Any, reads: tuple[str, ...], writes: tuple[str, ...]
) -> Stage:
    return Stage(
        name,
        section,
        "python",
        f"{__name__}:{function.__name__}",
        lambda _: reads,
        lambda _: writes,
    )


def _does(stage: Stage, function: Any) -> Stage:
    """The stage as it would be with another function."""
    return replace(stage, target=f"{__name__}:{function.__name__}")


SOW = _stage("sow", "shop", sow, reads=(), writes=("seeds", "soil"))
GROW = _stage("grow", "als", grow, reads=("seeds",), writes=("plants",))
COOK = _stage("cook", "cosine", cook, reads=("plants", "soil"), writes=("meal",))
FARM = (SOW, GROW, COOK)
GROW_ALONE = replace(_does(GROW, append), reads=lambda _: ())
READ_RAW = replace(
    _stage("read", "ratings", read_raw, (), ("plants",)),
    raw=lambda config: (config.ratings.path,) if config.ratings else (),
)


def _config(num_items: int = 10, rank: int = 4, blocks: int = 2, top_k: int = 5) -> Config:
    return Config.model_validate(
        {
            "shop": {"num_items": num_items},
            "als": {"rank": rank, "blocks": blocks},
            "cosine": {"top_k": top_k},
        }
    )


def _raw_config(path: Path | str) -> Config:
    columns = {"user_id": "u", "item_id": "i", "value": "v"}
    return Config.model_validate({"ratings": {"path": str(path), "columns": columns}})


def _run(
    root: Path, *stages: Stage, config: Config | None = None, force: bool = False
) -> dict[str, tuple[str, str]]:
    """Each stage's action and reason, which `plan` must have foreseen where all inputs are
    there.
    """
    config = config or _config()
    planned = plans.plan(config, root, stages, force)
    outcomes = runner.run(config, root, stages, force=force)
    assert [(d.stage, d.action, d.reason) for d in planned if "runs before" not in d.reason] == [
        (o.stage, o.action, o.reason)
        for d, o in zip(planned, outcomes, strict=True)
        if "runs before" not in d.reason
    ]
    assert [d.action for d in planned] == [o.action for o in outcomes]
    return {outcome.stage.name: (outcome.action, outcome.reason) for outcome in outcomes}


def _actions(
    root: Path, *stages: Stage, config: Config | None = None, force: bool = False
) -> list[str]:
    return [action for action, _ in _run(root, *stages, config=config, force=force).values()]


def _text(root: Path, name: str) -> str:
    return manifests.load(root, name).paths[0].read_text()


def _manifest(root: Path, name: str) -> Manifest:
    return manifests.load(root, name).manifest


def _status(root: Path, stage: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "_status" / f"{stage}.json").read_bytes())
    return content


def _runs_of(root: Path, name: str) -> list[Path]:
    """The folders that runs have left of a dataset."""
    return sorted(path for path in (root / name).glob("*") if path.is_dir())


def _commit_as_another_run(root: Path, name: str) -> None:
    """As a process leaves it that is killed after this commit and before the next."""
    manifest = _manifest(root, name)
    manifests.commit(
        root, replace(manifest, produced_by=replace(manifest.produced_by, run_id=LATER))
    )


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The package's log lines, whether or not somebody has configured its logger."""
    logger = logging.getLogger("emberline")
    propagate, level = logger.propagate, logger.level
    logger.addHandler(caplog.handler)
    logger.propagate = False
    logger.setLevel("INFO")
    yield caplog
    logger.removeHandler(caplog.handler)
    logger.propagate = propagate
    logger.setLevel(level)


def test_a_first_run_runs_everything_in_order(root: Path) -> None:
    outcomes = runner.run(_config(), root, FARM)
    assert [(outcome.action, outcome.reason) for outcome in outcomes] == [
        ("run", "never run here")
    ] * 3
    assert _text(root, "meal") == "10 grains, 4 cm high on black"


def test_an_outcome_has_all_rows_and_says_which_tables_nobody_has_asked_for(root: Path) -> None:
    """Whether the stage runs or is up to date."""
    sow = replace(SOW, unasked=lambda config: ("soil",) if config.als else ())
    for action in ("run", "skip"):
        (outcome,) = runner.run(_config(), root, [sow])
        assert (outcome.action, outcome.unasked) == (action, ("soil",))
        assert outcome.rows.keys() == {"seeds", "soil"}


def test_a_second_run_does_nothing(root: Path) -> None:
    _run(root, *FARM)
    before = _tree(root)
    assert _run(root, *FARM) == dict.fromkeys(("sow", "grow", "cook"), ("skip", "up to date"))
    assert _tree(root) == before


def _tree(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p): (p.stat().st_mtime_ns, p.read_bytes())
        for p in root.rglob("*")
        if p.is_file() and p.name != "_lock"
    }


def test_a_setting_of_what_reruns_its_stage_and_those_after_it(root: Path) -> None:
    _run(root, *FARM)
    assert _run(root, *FARM, config=_config(rank=9)) == {
        "sow": ("skip", "up to date"),
        "grow": ("run", "als.rank was 4, is 9"),
        "cook": ("run", "plants is new"),
    }
    assert _text(root, "meal") == "10 grains, 9 cm high on black"


def test_a_setting_of_the_last_stage_reruns_it_alone(root: Path) -> None:
    _run(root, *FARM)
    assert _actions(root, *FARM, config=_config(top_k=6)) == ["skip", "skip", "run"]


def test_a_setting_of_where_reruns_nothing(root: Path) -> None:
    _run(root, *FARM)
    assert _actions(root, *FARM, config=_config(blocks=7)) == ["skip", "skip", "skip"]


def test_several_changes_are_all_told(root: Path) -> None:
    _run(root, *FARM)
    runner.run(_config(num_items=11), root, [SOW])
    reason = _run(root, GROW, config=_config(num_items=11, rank=9))["grow"][1]
    assert reason == "als.rank was 4, is 9; seeds is new"


def test_a_setting_that_is_gone_or_new_is_told(root: Path) -> None:
    """As after an update of Emberline that renames a key."""
    _run(root, GROW_ALONE)
    manifest = _manifest(root, "plants")
    then = {key: value for key, value in manifest.produced_by.config.items() if key != "alpha"} | {
        "alfa": 2.0
    }
    manifests.commit(
        root,
        replace(
            manifest, produced_by=replace(manifest.produced_by, config=then, fingerprint="f" * 64)
        ),
    )
    assert (
        _run(root, GROW_ALONE)["grow"][1] == "als.alpha was None, is 1.0; als.alfa was 2.0, is None"
    )


def test_new_code_is_told(root: Path) -> None:
    _run(root, GROW_ALONE)
    manifest = _manifest(root, "plants")
    manifests.commit(
        root,
        replace(
            manifest, produced_by=replace(manifest.produced_by, code="c" * 64, fingerprint="f" * 64)
        ),
    )
    assert _run(root, GROW_ALONE)["grow"] == ("run", "emberline's code changed")


def test_force_runs_what_is_up_to_date(root: Path) -> None:
    _run(root, *FARM)
    old = {name: manifests.load(root, name) for name in ("seeds", "soil", "plants", "meal")}
    assert _run(root, *FARM, force=True) == {
        "sow": ("run", "forced"),
        "grow": ("run", "forced"),
        "cook": ("run", "forced"),
    }
    for name, dataset in old.items():
        assert dataset.paths[0].is_file(), "a reader of the old run goes on reading"
        assert (
            manifests.load(root, name).manifest.produced_by.run_id
            != dataset.manifest.produced_by.run_id
        )


def test_a_stage_alone_works_on_what_is_there(root: Path) -> None:
    _run(root, *FARM)
    assert _actions(root, COOK, config=_config(num_items=11, top_k=6)) == ["run"]
    assert _text(root, "meal") == "10 grains, 4 cm high on black"


@pytest.mark.parametrize("damage", ["missing", "resized"])
def test_a_damaged_output_is_made_again(root: Path, damage: str) -> None:
    _run(root, *FARM)
    path = manifests.load(root, "plants").paths[0]
    if damage == "missing":
        path.unlink()
        found = "is missing"
    else:
        path.write_text("moth-eaten")
        found = f"has 10 bytes instead of {len('10 grains, 4 cm high')}"
    reasons = _run(root, *FARM)
    part = f"{path.parent.name}/plants.txt"
    assert reasons["grow"] == (
        "run",
        f"plants/manifest.json lists 1 parts but {part} {found}; rerun grow",
    )
    assert reasons["sow"][0] == "skip"
    assert _text(root, "plants") == "10 grains, 4 cm high"


def test_one_missing_output_of_two_is_told_by_name(root: Path) -> None:
    _run(root, SOW)
    (root / "soil" / "manifest.json").unlink()
    assert _run(root, SOW)["sow"] == ("run", "soil missing")


def test_a_missing_input_names_the_stage_to_run_first(root: Path) -> None:
    stage = replace(COOK, reads=lambda _: ("user_factors",))
    with pytest.raises(ManifestError) as refused:
        runner.run(_config(), root, [stage])
    assert (
        str(refused.value)
        == f"cook reads user_factors, which is not in {root}; run train-als first"
    )
    with pytest.raises(ManifestError, match="run train-als first"):
        plans.plan(_config(), root, [stage])


def test_outputs_of_two_runs_of_one_stage_are_not_read_together(root: Path) -> None:
    _run(root, SOW)
    _commit_as_another_run(root, "soil")
    both = replace(COOK, reads=lambda _: ("seeds", "soil"))
    with pytest.raises(
        ManifestError,
        match=r"seeds \(run \S+\) and soil \(run \S+\) come from different runs of sow .*rerun sow",
    ):
        runner.run(_config(), root, [both])


def test_a_kill_between_two_commits_is_repaired_by_the_next_run(root: Path) -> None:
    _run(root, *FARM)
    _commit_as_another_run(root, "seeds")
    reasons = _run(root, *FARM)
    assert reasons["sow"][0] == "run"
    assert "come from different runs of sow" in reasons["sow"][1]
    run_ids = {_manifest(root, name).produced_by.run_id for name in ("seeds", "soil")}
    assert len(run_ids) == 1
    assert LATER not in run_ids
    assert _actions(root, *FARM) == ["skip", "skip", "skip"]


def test_a_failure_between_two_commits_keeps_what_was_committed(root: Path) -> None:
    (root / "soil" / "manifest.json").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        runner.run(_config(), root, [SOW])
    assert _text(root, "seeds") == "10 grains"
    assert _runs_of(root, "soil") == [root / "soil" / "manifest.json"]
    (root / "soil" / "manifest.json").rmdir()
    assert _run(root, SOW)["sow"] == ("run", "soil missing")
    assert _text(root, "soil") == "black"


@pytest.mark.parametrize(
    ("function", "error", "told"),
    [
        (freeze, DataError, ("failed", 3, "a frost came")),
        (stumble, ZeroDivisionError, ("failed", 1, "ZeroDivisionError")),
        (interrupt, KeyboardInterrupt, ("stopped", 130, "KeyboardInterrupt")),
    ],
)
def test_a_failed_stage_leaves_no_half_dataset(
    root: Path, function: Any, error: type[BaseException], told: tuple[str, int, str]
) -> None:
    with pytest.raises(error):
        runner.run(_config(), root, [SOW, _does(GROW, function), COOK])
    assert not manifests.exists(root, "plants")
    assert _runs_of(root, "plants") == []
    assert list((root / "_work").rglob("*")) == [root / "_work" / "grow"]
    status = _status(root, "grow")
    assert (status["state"], status["exit_code"], status["error"], status["rows"]) == (*told, {})
    assert _status(root, "sow")["state"] == "succeeded"
    assert not (root / "_status" / "cook.json").exists()


def test_a_failed_stage_leaves_the_old_dataset_as_it_was(root: Path) -> None:
    _run(root, *FARM)
    old = _manifest(root, "plants")
    with pytest.raises(DataError, match="a frost came"):
        runner.run(_config(rank=9), root, [SOW, _does(GROW, freeze)])
    assert _manifest(root, "plants") == old
    assert _text(root, "plants") == "10 grains, 4 cm high"
    assert len(_runs_of(root, "plants")) == 1
    assert _actions(root, *FARM) == ["skip", "skip", "skip"]


def test_a_stage_that_promises_more_than_it_writes_is_a_bug(root: Path) -> None:
    _run(root, SOW)
    with pytest.raises(
        AssertionError, match=r"grow wrote \[\], its row of the table says \['plants'\]"
    ):
        runner.run(_config(), root, [_does(GROW, forget)])
    assert not manifests.exists(root, "plants")
    assert _runs_of(root, "plants") == []
    assert (_status(root, "grow")["state"], _status(root, "grow")["exit_code"]) == ("failed", 1)


def test_a_stage_that_writes_more_than_it_promises_is_a_bug(root: Path) -> None:
    with pytest.raises(
        AssertionError,
        match=r"sow wrote \['seeds', 'soil'\], its row of the table says \['seeds'\]",
    ):
        runner.run(_config(), root, [replace(SOW, writes=lambda _: ("seeds",))])
    assert not manifests.exists(root, "seeds")


def test_a_failure_before_a_stage_begins_is_in_its_status_too(root: Path) -> None:
    _run(root, *FARM)
    manifests.load(root, "soil").paths[0].unlink()
    with pytest.raises(ManifestError):
        runner.run(_config(), root, [COOK])
    status = _status(root, "cook")
    assert (status["state"], status["exit_code"]) == ("failed", 3)
    assert "soil.txt is missing; rerun sow" in status["error"]


def test_missing_raw_files_are_in_the_status_too(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone does not exist"):
        runner.run(_raw_config(tmp_path / "gone"), root, [READ_RAW])
    assert (_status(root, "read")["state"], _status(root, "read")["exit_code"]) == ("failed", 3)


def test_raw_files_of_a_later_stage_are_missed_before_the_first_stage_begins(
    root: Path, tmp_path: Path
) -> None:
    config = _raw_config(tmp_path / "gone").model_copy(update={"shop": _config().shop})
    with pytest.raises(DataError, match="gone does not exist"):
        runner.run(config, root, [SOW, replace(READ_RAW, writes=lambda _: ("meal",))])
    assert not manifests.exists(root, "seeds")
    assert _status(root, "read")["state"] == "failed"


def test_a_full_disk_ends_a_stage_in_one_line_and_old_data_stay_whole(
    root: Path, small_disk: Callable[..., None]
) -> None:
    small_disk(root, "1m")
    _run(root, SOW, GROW)
    before = _text(root, "plants")
    with pytest.raises(
        StorageError,
        match=r"^the disk of .* is full: [\d,]+ of 1,048,576 bytes are left, .*make room",
    ) as refused:
        runner.run(_config(), root, [_does(GROW, grow_too_large)], force=True)
    assert (refused.value.exit_code, _text(root, "plants")) == (1, before)
    assert len(_runs_of(root, "plants")) == 1
    status = _status(root, "grow")
    assert (status["state"], status["exit_code"], status["error"]) == (
        "failed",
        1,
        str(refused.value),
    )


def test_a_status_tells_how_a_stage_ended_though_others_have_filled_the_disk(
    root: Path, small_disk: Callable[..., None]
) -> None:
    small_disk(root, "1m")
    _run(root, SOW, GROW)
    with pytest.raises(StorageError):
        runner.run(_config(), root, [_does(GROW, grow_while_the_disk_fills)], force=True)
    assert (_status(root, "grow")["state"], _status(root, "grow")["exit_code"]) == ("failed", 1)


def test_a_root_on_a_disk_that_is_read_only_is_a_mistake(
    root: Path, small_disk: Callable[..., None]
) -> None:
    small_disk(root, "1m")
    _run(root, SOW)
    subprocess.run(["mount", "-o", "remount,ro", root], check=True)
    with pytest.raises(
        ConfigError,
        match=r"cannot be written to: .*Read-only file system.*; set root to a folder that can",
    ):
        runner.run(_config(), root, FARM)


@pytest.mark.parametrize("place", ["plants", "_status", "_work", "_work/grow"])
def test_a_run_writes_nothing_through_a_link_in_its_root(
    root: Path, tmp_path: Path, place: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / place).parent.mkdir(parents=True)
    (root / place).symlink_to(elsewhere)
    with pytest.raises(
        ConfigError, match=rf"{place} is a link, and links within .* are not followed; remove it"
    ):
        runner.run(_config(), root, FARM)
    assert list(elsewhere.iterdir()) == [] and not manifests.exists(root, "seeds")


def test_a_root_that_is_a_link_itself_is_where_its_owner_wants_it(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    root.symlink_to(tmp_path / "disk")
    assert set(_actions(root, *FARM)) == {"run"}


def test_a_status_says_what_a_scheduler_asks(root: Path) -> None:
    _run(root, SOW)
    status = _status(root, "sow")
    manifest = _manifest(root, "seeds")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", status.pop("updated"))
    assert 0 <= status.pop("seconds") < 60
    assert status.pop("host") and status.pop("peak_bytes") > 10 << 20
    assert status == {
        "stage": "sow",
        "state": "succeeded",
        "exit_code": 0,
        "error": None,
        "run_id": manifest.produced_by.run_id,
        "fingerprint": manifest.produced_by.fingerprint,
        "pid": os.getpid(),
        "rows": {"seeds": 0, "soil": 0},
        "metrics": {"grains": 10},
    }


def test_a_running_stage_says_so(root: Path) -> None:
    _run(root, SOW, _does(GROW, copy_status))
    then = json.loads(_text(root, "plants"))
    assert (then["state"], then["exit_code"], then["error"], then["rows"]) == (
        "running",
        None,
        None,
        {},
    )
    assert then["run_id"] == _status(root, "grow")["run_id"]


def test_a_listener_hears_every_stage_begin_and_end(root: Path) -> None:
    heard: list[tuple[object, ...]] = []

    class Listener:
        def started(self, decision: Decision, position: int, total: int) -> None:
            heard.append(("started", decision.stage.name, decision.action, position, total))

        def progressed(self, text: str) -> None:
            heard.append(("progressed", text))

        def finished(self, outcome: Outcome, position: int, total: int) -> None:
            heard.append(("finished", outcome.stage.name, outcome.action, position, total))

    runner.run(_config(), root, [SOW])
    runner.run(_config(), root, [SOW, _does(GROW, grow_slowly)], Listener())
    assert heard == [
        ("started", "sow", "skip", 1, 2),
        ("finished", "sow", "skip", 1, 2),
        ("started", "grow", "run", 2, 2),
        ("progressed", "half grown"),
        ("finished", "grow", "run", 2, 2),
    ]


def test_metrics_are_remembered_when_a_stage_is_skipped(root: Path) -> None:
    (first,), (second,) = (runner.run(_config(), root, [SOW]) for _ in range(2))
    assert (first.action, second.action) == ("run", "skip")
    assert first.metrics == second.metrics == {"grains": 10}
    assert list(first.rows.items()) == list(second.rows.items()) == [("seeds", 0), ("soil", 0)]


def test_metrics_of_another_run_are_not_shown(root: Path) -> None:
    _run(root, SOW)
    with pytest.raises(DataError):
        runner.run(_config(num_items=11), root, [_does(SOW, freeze)])
    (outcome,) = runner.run(_config(), root, [SOW])
    assert (outcome.action, outcome.metrics) == ("skip", {})


def test_work_survives_a_killed_attempt_and_goes_after_the_commit(root: Path) -> None:
    _run(root, SOW)
    stage = _does(GROW, continue_from_checkpoint)
    with pytest.raises(Preempted):
        runner.run(_config(), root, [stage])
    assert _status(root, "grow")["exit_code"] == 75
    assert [path.name for path in (root / "_work").rglob("*.txt")] == ["step.txt"]
    _run(root, stage)
    assert _text(root, "plants") == "half grown, then ripe"
    assert list((root / "_work" / "grow").iterdir()) == []


def test_work_for_other_settings_is_not_continued(root: Path) -> None:
    _run(root, SOW)
    stage = _does(GROW, continue_from_checkpoint)
    for rank in (4, 9):
        with pytest.raises(Preempted):
            runner.run(_config(rank=rank), root, [stage])


def test_a_run_does_not_continue_what_is_damaged_and_says_how_to_go_on(root: Path) -> None:
    stage = _does(GROW, append)
    _run(root, SOW, stage)
    manifests.load(root, "plants").paths[0].unlink()
    with pytest.raises(
        ManifestError,
        match=(
            r"plants\.txt is missing.*Restore .*plants from a backup; or, to start anew, remove"
            r" plants"
        ),
    ):
        _run(root, SOW, stage)
    assert [path.name for path in (root / "plants").glob("*/*")] == []


def test_a_status_that_cannot_be_written_does_not_hide_how_the_stage_ended(root: Path) -> None:
    (root / "_status" / "sow.json").mkdir(parents=True)
    _run(root, SOW)
    assert _text(root, "seeds")


def test_what_a_run_continues_is_lineage_but_does_not_decide(root: Path) -> None:
    stage = _does(GROW, append)
    _run(root, SOW, stage)
    first = _manifest(root, "plants")
    assert first.produced_by.previous == {}
    assert _actions(root, SOW, stage) == ["skip", "skip"]
    _run(root, stage, force=True)
    second = _manifest(root, "plants")
    assert _text(root, "plants") == "one more\none more\n"
    assert second.produced_by.previous == {"plants": first.identity()}
    assert second.produced_by.fingerprint == first.produced_by.fingerprint
    assert _actions(root, SOW, stage) == ["skip", "skip"]


def test_a_manifest_records_where_its_dataset_comes_from(root: Path) -> None:
    _run(root, *FARM)
    seeds, plants = _manifest(root, "seeds"), _manifest(root, "plants")
    by = plants.produced_by
    assert (plants.kind, plants.fields, plants.rank, plants.seed, plants.info) == (
        "artifact",
        [],
        None,
        None,
        {},
    )
    assert (by.stage, by.config["rank"], by.code) == ("grow", 4, package.code_hash())
    assert "blocks" not in by.config
    assert by.inputs == {
        "seeds": {"fingerprint": seeds.produced_by.fingerprint, "run_id": seeds.produced_by.run_id}
    }
    assert plants.parts[0].path == f"{by.fingerprint[:16]}-{by.run_id}/plants.txt"


def test_a_table_is_committed_with_its_fields_and_rows(root: Path) -> None:
    runner.run(_config(), root, [_stage("number", "als", write_users, (), ("users",))])
    manifest = _manifest(root, "users")
    assert (manifest.kind, manifest.rows, manifest.rank, manifest.seed) == ("table", 2, 7, 3)
    assert [field["name"] for field in manifest.fields] == ["user", "user_id"]
    assert manifest.info == {"joined": {"users": 2}}
    assert _status(root, "number")["rows"] == {"users": 2}


def test_a_raw_file_that_was_changed_added_or_removed_reruns_and_is_named(
    root: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    for name in ("a.csv", "b.csv"):
        write_file(name.encode(), raw, name)
    config = _raw_config(raw)
    assert _actions(root, READ_RAW, config=config) == ["run"]
    assert _text(root, "plants") == "a.csv=a.csv b.csv=b.csv"
    (raw / "a.csv").write_text("A.csv")  # as many bytes
    assert _run(root, READ_RAW, config=config)["read"] == ("run", "a.csv changed")
    (raw / "b.csv").write_text("longer")
    assert _run(root, READ_RAW, config=config)["read"] == ("run", "b.csv changed")
    for name in ("c.csv", "d.csv"):
        write_file(b"c", raw, name)
    assert _run(root, READ_RAW, config=config)["read"] == ("run", "2 files are new: c.csv, d.csv")
    (raw / "a.csv").unlink()
    for number in range(5):
        write_file(b"e", raw, f"e{number}.csv")
    expected = "5 files are new: e0.csv, e1.csv, e2.csv and 2 more; 1 file is gone: a.csv"
    assert _run(root, READ_RAW, config=config)["read"] == ("run", expected)
    write_file(b"", raw, "_SUCCESS")
    assert _run(root, READ_RAW, config=config)["read"] == ("skip", "up to date")


def test_the_same_bytes_at_another_time_or_place_rerun_nothing(root: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for name in ("a.csv", "day/b.csv"):
        write_file(name.encode(), raw, name)
    _run(root, READ_RAW, config=_raw_config(raw))
    run_id = _manifest(root, "plants").produced_by.run_id
    os.utime(raw / "a.csv", ns=(0, 0))
    assert _run(root, READ_RAW, config=_raw_config(raw))["read"] == ("skip", "up to date")
    (raw / "a.csv").write_text("a.csv")
    shutil.copytree(raw, tmp_path / "there", copy_function=shutil.copyfile)
    assert _run(root, READ_RAW, config=_raw_config(tmp_path / "there"))["read"] == (
        "skip",
        "up to date",
    )
    assert _manifest(root, "plants").produced_by.run_id == run_id
    (tmp_path / "there" / "a.csv").write_text("b.csv")
    assert _run(root, READ_RAW, config=_raw_config(tmp_path / "there"))["read"] == (
        "run",
        "a.csv changed",
    )


def test_content_is_read_where_nothing_but_times_differ_and_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "raw"
    for name in ("a.csv", "b.csv"):
        write_file(name.encode(), raw, name)
    read: list[str] = []
    digest = inputs.Digests._digest

    def noted(self: inputs.Digests, file: RawFile) -> str | None:
        read.append(file.relative)
        return digest(self, file)

    monkeypatch.setattr(inputs.Digests, "_digest", noted)
    config = _raw_config(raw)

    def looked(work: Any) -> list[str]:
        read.clear()
        work()
        return sorted(read)

    # while the stage is at work
    assert looked(lambda: runner.run(config, root, [READ_RAW])) == ["a.csv", "b.csv"]
    assert looked(lambda: runner.run(config, root, [READ_RAW])) == []
    os.utime(raw / "a.csv", ns=(0, 0))
    assert looked(lambda: plans.plan(config, root, [READ_RAW])) == ["a.csv"]
    assert looked(lambda: runner.run(config, root, [READ_RAW])) == ["a.csv"]
    assert looked(lambda: runner.run(config, root, [READ_RAW])) == []
    write_file(b"c", raw, "c.csv")
    os.utime(raw / "b.csv", ns=(0, 0))
    # it runs whatever is in b.csv
    assert looked(lambda: plans.plan(config, root, [READ_RAW])) == []


def test_without_a_record_of_what_was_read_new_times_rerun(root: Path, tmp_path: Path) -> None:
    write_file(b"a", tmp_path / "raw", "a.csv")
    config = _raw_config(tmp_path / "raw")
    _run(root, READ_RAW, config=config)
    (root / "_inputs" / "read.parquet").write_bytes(b"PAR1 of somebody else")
    assert _run(root, READ_RAW, config=config)["read"] == ("skip", "up to date")
    os.utime(tmp_path / "raw" / "a.csv", ns=(0, 0))
    assert _run(root, READ_RAW, config=config)["read"] == ("run", "the raw input files changed")


def test_a_file_that_changes_while_it_is_read_is_read_again(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "raw" / "a.csv"
    write_file(b"a", path.parent, path.name)
    listed = [RawFile(str(path), "a.csv", 1, path.stat().st_mtime_ns)]
    os.utime(path, ns=(0, 0))
    with inputs.Digests(listed) as digests:
        assert list(digests) == [None]


def test_names_in_other_bytes_than_utf_8_are_names(root: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    write_file(b"a", raw, "caf\udce9.csv")
    config = _raw_config(raw)
    _run(root, replace(READ_RAW, target=f"{__name__}:count_raw"), config=config)
    os.utime(raw / "caf\udce9.csv", ns=(0, 0))
    assert _run(root, replace(READ_RAW, target=f"{__name__}:count_raw"), config=config)["read"] == (
        "skip",
        "up to date",
    )


def test_a_raw_file_that_arrives_during_a_run_belongs_to_the_next(
    root: Path, tmp_path: Path
) -> None:
    write_file(b"a.csv", tmp_path / "raw", "a.csv")
    config = _raw_config(tmp_path / "raw")
    _run(root, replace(READ_RAW, target=f"{__name__}:read_raw_while_a_file_arrives"), config=config)
    assert _text(root, "plants") == "a.csv=a.csv"
    assert _run(root, READ_RAW, config=config)["read"] == ("run", "1 file is new: late.csv")
    assert _text(root, "plants") == "a.csv=a.csv late.csv=late"


class Courier:
    """Brings a raw file as soon as a stage's turn has come, which is after it was decided on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def started(self, decision: Decision, position: int, total: int) -> None:
        write_file(b"late", self._folder, "late.csv")

    def progressed(self, text: str) -> None: ...
    def finished(self, outcome: Outcome, position: int, total: int) -> None: ...


def test_a_raw_file_that_arrives_after_the_decision_is_not_read(root: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    write_file(b"a.csv", raw, "a.csv")
    config = _raw_config(raw)
    _run(root, READ_RAW, config=config)
    (raw / "a.csv").write_text("A.csv")
    (outcome,) = runner.run(config, root, [READ_RAW], Courier(raw))
    assert (outcome.reason, _text(root, "plants")) == ("a.csv changed", "a.csv=A.csv")
    assert _run(root, READ_RAW, config=config)["read"] == ("run", "1 file is new: late.csv")
    assert _text(root, "plants") == "a.csv=A.csv late.csv=late"


def test_raw_files_are_listed_once_a_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(b"a", tmp_path / "raw", "a.csv")
    config, survey, listed = _raw_config(tmp_path / "raw"), listing.survey, []

    def counted(uri: str, *places: Any) -> listing.Listing:
        listed.append(uri)
        return survey(uri, *places)

    monkeypatch.setattr(listing, "survey", counted)
    for action in ("run", "skip"):
        (outcome,) = runner.run(config, root, [READ_RAW])
        assert (outcome.action, listed) == (action, [f"{tmp_path}/raw"])
        listed.clear()


def test_files_that_are_passed_over_are_in_the_manifest_and_in_the_status(
    root: Path, tmp_path: Path
) -> None:
    for name in ("a.csv", ".b.csv"):
        write_file(b"a", tmp_path / "raw", name)
    (outcome,) = runner.run(_raw_config(tmp_path / "raw"), root, [READ_RAW])
    told = {f"{tmp_path}/raw": "1 hidden (.b.csv)"}
    assert outcome.metrics["passed_over"] == told
    assert _manifest(root, "plants").info["passed_over"] == told
    assert _status(root, "read")["metrics"]["passed_over"] == told


def test_raw_files_that_only_moved_rerun_nothing(root: Path, tmp_path: Path) -> None:
    write_file(b"a", tmp_path / "here", "day/a.csv")
    _run(root, READ_RAW, config=_raw_config(tmp_path / "here"))
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert _actions(root, READ_RAW, config=_raw_config(tmp_path / "there")) == ["skip"]


def test_raw_files_may_come_from_an_artifact(root: Path) -> None:
    stage = replace(READ_RAW, reads=lambda _: ("seeds",))
    _run(root, SOW)
    _run(root, stage, config=_raw_config("dataset:seeds/*.txt"))
    assert _text(root, "plants") == "wheat.txt=10 grains"
    assert list(_manifest(root, "plants").produced_by.inputs) == ["seeds"]
    with pytest.raises(ManifestError, match=r"no file of seeds matches '\*\.csv'"):
        runner.run(_raw_config("dataset:seeds/*.csv"), root, [stage])


def test_other_files_of_the_same_artifact_rerun(root: Path) -> None:
    stage = replace(READ_RAW, reads=lambda _: ("seeds",))
    _run(root, SOW)
    _run(root, stage, config=_raw_config("dataset:seeds/*.txt"))
    assert _actions(root, stage, config=_raw_config("dataset:seeds/*.txt")) == ["skip"]
    reason = ("run", "the raw input files changed")
    assert _run(root, stage, config=_raw_config("dataset:seeds/wheat.*"))["read"] == reason


def test_a_plan_changes_nothing_and_sees_what_follows(root: Path) -> None:
    assert [(d.action, d.reason) for d in plans.plan(_config(), root, FARM)] == [
        ("run", "never run here"),
        ("run", "sow runs before"),
        ("run", "grow runs before"),
    ]
    assert not root.exists()
    _run(root, *FARM)
    before = _tree(root)
    assert [(d.action, d.reason) for d in plans.plan(_config(rank=9), root, FARM)] == [
        ("skip", "up to date"),
        ("run", "als.rank was 4, is 9"),
        ("run", "grow runs before"),
    ]
    assert _tree(root) == before


def test_log_lines_tell_the_story(root: Path, log: pytest.LogCaptureFixture) -> None:
    _run(root, SOW, GROW)
    started = [message for message in log.messages if message.startswith("stage_started")]
    finished = [message for message in log.messages if message.startswith("stage_finished")]
    by = _manifest(root, "plants").produced_by
    where = "start_from=None exchange=auto blocks=2 checkpoint_every=5"
    assert (
        started[1]
        == f"stage_started stage=grow run_id={by.run_id} fingerprint={by.fingerprint[:16]} {where}"
    )
    assert re.fullmatch(
        rf"stage_finished stage=grow run_id={by.run_id} seconds=\d+\.\d{{3}} peak_bytes=\d+"
        " plants=0",
        finished[1],
    )
    log.clear()
    _run(root, SOW, GROW)
    assert log.messages == [
        f'stage_skipped stage={name} reason="up to date"' for name in ("sow", "grow")
    ]


def test_run_ids_sort_by_time_and_never_repeat() -> None:
    ids = [stage_run.new_run_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert [run_id[:15] for run_id in ids] == sorted(run_id[:15] for run_id in ids)
    assert all(manifests.is_run_folder(manifests.run_folder("0" * 64, run_id)) for run_id in ids)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EmberlineError("x"), 1),
        (ConfigError("x"), 2),
        (ManifestError("x"), 3),
        (TrainingError("x"), 4),
        (Preempted("x"), 75),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 1),
    ],
)
def test_an_error_has_the_exit_code_of_the_contract(error: BaseException, code: int) -> None:
    assert statuses.exit_code(error) == code


def test_the_code_is_the_same_in_a_folder_and_in_a_zip_and_another_when_edited(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "folder"
    ignored = shutil.ignore_patterns("__pycache__", "*.properties")
    shutil.copytree(Path(emberline.__file__).parent, folder / "emberline", ignore=ignored)
    archive = Path(shutil.make_archive(str(tmp_path / "emberline"), "zip", folder))
    assert zipfile.is_zipfile(archive)
    unpacked = _code_hash_of(folder)
    (folder / "emberline" / "notes.txt").write_text("not code")
    assert [_code_hash_of(folder), _code_hash_of(archive)] == [unpacked, unpacked]
    (folder / "emberline" / "cf" / "topk.py").write_text("# another\n")
    assert _code_hash_of(folder) != unpacked


def _code_hash_of(place: Path) -> str:
    """As another process finds it that imports the package from this folder or zip, with other
    hashes of strings.
    """
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from emberline.runs import package;"
        " print(package.__file__, package.code_hash())"
    )
    program = [sys.executable, "-c", code, str(place)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=True)
    file, digest = done.stdout.split()
    assert file.startswith(str(place))
    return digest


KILLED = """
import os, signal, sys
from pathlib import Path
from emberline.datasets import lock
from emberline.runs.status import Status, write

root = Path(sys.argv[1])
with lock.hold(root):
    write(root, Status("grow", "running", "20250101T000000-00000000", "f" * 64))
    print("ready", flush=True)
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def test_a_run_that_was_killed_is_told_on_the_next_look_and_settled_by_the_next_run(
    root: Path,
) -> None:
    _run(root, SOW)
    subprocess.run([sys.executable, "-c", KILLED, str(root), "kill"], check=False)
    assert _status(root, "grow")["state"] == "running"
    _, grow = plans.plan(_config(), root, [SOW, GROW])
    assert re.fullmatch(
        r"never run here; its last run, at work since 20\S+, was killed", grow.reason
    )
    assert _status(root, "grow")["state"] == "running"  # a plan writes nothing
    with pytest.raises(DataError):
        runner.run(_config(), root, [SOW, _does(GROW, freeze), COOK])
    assert _status(root, "grow")["state"] == "failed"


def test_a_killed_run_of_which_nothing_is_left_to_do_is_no_failure_any_more(root: Path) -> None:
    _run(root, SOW, GROW)
    subprocess.run([sys.executable, "-c", KILLED, str(root), "kill"], check=False)
    found = statuses.look(root, "grow")
    assert found is not None and (found.state, found.exit_code) == ("killed", None)
    assert "was killed, or its machine went down" in str(found.error)
    assert _run(root, SOW, GROW)["grow"] == ("skip", "up to date")
    status = _status(root, "grow")
    assert (status["state"], status["exit_code"], status["rows"]) == ("succeeded", 0, {"plants": 0})


def test_a_run_that_is_at_work_is_not_called_killed(root: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(root), "stay"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        found = statuses.look(root, "grow")
        assert found is not None and found.state == "running"
        process.communicate("")
    found = statuses.look(root, "grow")
    assert found is not None and found.state == "killed"


@pytest.mark.parametrize("content", ["", "[]", '{"stage": "grow"}', "null"])
def test_a_status_of_something_else_is_none(root: Path, content: str) -> None:
    (root / "_status").mkdir(parents=True)
    (root / "_status" / "grow.json").write_text(content)
    assert statuses.look(root, "grow") is None
    assert _run(root, SOW, GROW)["grow"] == ("run", "never run here")
