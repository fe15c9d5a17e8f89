"""A root with a base, on the toy farm of `test_runner`: what the root lacks is read from the base,
and the base stays as it is.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from emberline.cnn import worker
from emberline.datasets import lock, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.parts import write_file
from emberline.datasets.remote import RemotePath
from emberline.errors import ConfigError, DataError, ManifestError
from emberline.runs import plan as plans
from emberline.runs import runner
from emberline.runs.stage_run import StageRun
from emberline.sections.config import Config
from emberline.sections.stage import Stage
from emberline.trainers import Given


def sow(run: StageRun[Any]) -> None:
    _yield(run, "seeds", f"{run.settings.num_items} grains")
    _yield(run, "soil", "black soil")
    run.outputs.measure(grains=run.settings.num_items)


def grow(run: StageRun[Any]) -> None:
    _yield(run, "plants", f"{_read(run, 'seeds')}, {run.settings.rank} cm high")


def cook(run: StageRun[Any]) -> None:
    _yield(run, "meal", f"{_read(run, 'plants')} on {_read(run, 'soil')}")


def append(run: StageRun[Any]) -> None:
    """Adds a line to what the last run wrote."""
    before = run.outputs.previous("plants")
    _yield(run, "plants", (before.paths[0].read_text() if before else "") + "one more\n")


def count_raw(run: StageRun[Any]) -> None:
    names = [file.relative for file in run.inputs.files(run.settings.path)]
    _yield(run, "plants", " ".join(names))


def _yield(run: StageRun[Any], name: str, text: str) -> None:
    run.outputs.add(name, [write_file(text.encode(), run.outputs.folder(name), f"{name}.txt")])


def _read(run: StageRun[Any], name: str) -> str:
    text: str = run.inputs[name].paths[0].read_bytes().decode()
    return text


def _stage(
    section: str,
    function: Any,
    reads: tuple[str, ...],
    writes: tuple[str, ...],
    raw: Any = lambda config: (),
) -> Stage:
    target = f"{__name__}:{function.__name__}"
    name = function.__name__
    return Stage(name, section, "python", target, lambda _: reads, lambda _: writes, raw)


SOW = _stage("shop", sow, (), ("seeds", "soil"))
GROW = _stage("als", grow, ("seeds",), ("plants",))
COOK = _stage("cosine", cook, ("plants", "soil"), ("meal",))
FARM = (SOW, GROW, COOK)
COUNT = _stage("ratings", count_raw, (), ("plants",), lambda config: (config.ratings.path,))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A root into which the whole farm has run."""
    runner.run(_config(), tmp_path / "base", FARM)
    return tmp_path / "base"


def _config(base: Path | str | None = None, num_items: int = 10, rank: int = 4) -> Config:
    place = {"base": str(base)} if base else {}
    sections = {"shop": {"num_items": num_items}, "als": {"rank": rank}, "cosine": {"top_k": 5}}
    return Config.model_validate(place | sections)


def _run(config: Config, root: Path, *stages: Stage, force: bool = False) -> dict[str, str]:
    """Each stage's action and reason, which `plan` must have foreseen."""
    planned = plans.plan(config, root, stages, force)
    outcomes = runner.run(config, root, stages, force=force)
    assert [decision.action for decision in planned] == [outcome.action for outcome in outcomes]
    return {outcome.stage.name: f"{outcome.action}: {outcome.reason}" for outcome in outcomes}


def _text(root: Path, name: str) -> str:
    return manifests.load(root, name).paths[0].read_text()


def _fingerprint(root: Path, name: str) -> str:
    return manifests.load(root, name).manifest.produced_by.fingerprint


def _hash(root: Path) -> str:
    """Of the names, contents and times of all that is in a tree."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path.relative_to(root)} {path.stat().st_mtime_ns}\n".encode() + content)
    return digest.hexdigest()


def _outputs(root: Path) -> set[str]:
    return set(manifests.names(root))


def test_what_is_up_to_date_in_the_base_is_not_run_again(base: Path, tmp_path: Path) -> None:
    before, root = _hash(base), tmp_path / "root"
    done = _run(_config(base), root, *FARM)
    assert done == dict.fromkeys(("sow", "grow", "cook"), f"skip: up to date in {base}")
    assert (_outputs(root), _hash(base)) == (set(), before)


def test_a_stage_of_other_settings_runs_in_the_root_and_reads_the_base(
    base: Path, tmp_path: Path
) -> None:
    before, root = _hash(base), tmp_path / "root"
    done = _run(_config(base, rank=7), root, *FARM)
    assert done["sow"] == f"skip: up to date in {base}"
    assert done["grow"] == f"run: is in {base}, where als.rank was 4, is 7"
    assert done["cook"] == f"run: is in {base}, where plants is new"
    assert _text(root, "meal") == "10 grains, 7 cm high on black soil"
    assert (_outputs(root), _hash(base)) == ({"plants", "meal"}, before)
    assert set(_run(_config(base, rank=7), root, GROW, COOK).values()) == {"skip: up to date"}


def test_fingerprints_are_those_of_one_root(base: Path, tmp_path: Path) -> None:
    runner.run(_config(base, rank=7), tmp_path / "root", FARM)
    shutil.copytree(base, tmp_path / "one")
    runner.run(_config(rank=7), tmp_path / "one", FARM)
    plants = _fingerprint(tmp_path / "root", "plants")
    assert plants == _fingerprint(tmp_path / "one", "plants") != _fingerprint(base, "plants")
    plan = plans.plan(_config(tmp_path / "one", rank=7), tmp_path / "none", [SOW, GROW])
    assert [decision.action for decision in plan] == ["skip", "skip"]


def test_five_roots_read_what_was_prepared_once(base: Path, tmp_path: Path) -> None:
    before = _hash(base)
    for rank in range(5, 10):
        done = _run(_config(base, rank=rank), tmp_path / f"root{rank}", *FARM)
        assert done["sow"].startswith("skip")
        assert _outputs(tmp_path / f"root{rank}") == {"plants", "meal"}
    texts = {_text(tmp_path / f"root{rank}", "plants") for rank in range(5, 10)}
    assert texts == {f"10 grains, {rank} cm high" for rank in range(5, 10)}
    assert _hash(base) == before


def test_a_base_that_cannot_be_written_is_read(base: Path, tmp_path: Path) -> None:
    for path in (*base.rglob("*"), base):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        before = _hash(base)
        runner.run(_config(base, rank=7), tmp_path / "root", FARM)
        assert _hash(base) == before
    finally:
        for path in (base, *base.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_base_is_not_locked_while_another_run_is_at_work_on_it(
    base: Path, tmp_path: Path
) -> None:
    with lock.hold(base):
        assert _run(_config(base), tmp_path / "root", SOW)["sow"].startswith("skip")


def test_what_the_root_has_hides_what_the_base_has(base: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    runner.run(_config(base, num_items=30), root, [SOW])
    assert _run(_config(base), root, SOW)["sow"] == "run: shop.num_items was 30, is 10"
    runner.run(_config(base), root, [GROW])
    assert manifests.load(root, "plants").manifest.produced_by.inputs == {
        "seeds": manifests.load(root, "seeds").manifest.identity()
    }


def test_an_input_that_neither_has_is_named_with_both_places(tmp_path: Path) -> None:
    runner.run(_config(), tmp_path / "base", [SOW])
    said = re.escape(
        f"cook reads plants, which is not in {tmp_path}/root or its base {tmp_path}/base; run"
    )
    with pytest.raises(ManifestError, match=said):
        runner.run(_config(tmp_path / "base"), tmp_path / "root", [COOK])


@pytest.mark.parametrize(
    ("base", "root", "said"),
    [
        ("one", "one", "is the root"),
        ("one/inside", "one", "or inside it"),
        ("one", "one/inside", "is inside its base"),
        ("one/../one", "one", "is the root"),
        ("gone", "one", "is not there"),
    ],
)
def test_a_base_that_is_the_root_or_overlaps_it_or_is_not_there_is_refused(
    tmp_path: Path, base: str, root: str, said: str
) -> None:
    (tmp_path / "one" / "inside").mkdir(parents=True)
    for act in (plans.plan, runner.run):
        with pytest.raises(ConfigError, match=said):
            act(_config(tmp_path / base), tmp_path / root, [SOW])
    assert not (tmp_path / "one" / "_lock").exists()


def test_a_base_whose_parts_are_gone_is_refused_as_an_own_input_is(
    base: Path, tmp_path: Path
) -> None:
    manifests.load(base, "seeds").paths[0].unlink()
    with pytest.raises(ManifestError, match=r"seeds.*is missing; rerun sow"):
        runner.run(_config(base, rank=7), tmp_path / "root", [GROW])


def test_what_a_run_continues_may_be_in_the_base(base: Path, tmp_path: Path) -> None:
    stage = _stage("als", append, (), ("plants",))
    runner.run(_config(), tmp_path / "first", [stage])
    before, root = _hash(tmp_path / "first"), tmp_path / "root"
    for rank in (7, 8):
        runner.run(_config(tmp_path / "first", rank=rank), root, [stage])
    assert _text(root, "plants") == "one more\n" * 3
    assert _hash(tmp_path / "first") == before


def test_the_bases_own_files_are_no_raw_files(tmp_path: Path) -> None:
    write_file(b"a", tmp_path / "raw", "a.csv")
    columns = {"user_id": "u", "item_id": "i", "value": "v"}
    sections = {"ratings": {"path": f"{tmp_path}/raw", "columns": columns}}
    base = tmp_path / "raw" / "base"
    runner.run(Config.model_validate(sections), base, [COUNT])
    config = Config.model_validate(sections | {"base": str(base)})
    assert _run(config, tmp_path / "root", COUNT)["count_raw"] == f"skip: up to date in {base}"


def test_new_times_of_the_same_raw_files_are_not_noted_in_the_base(tmp_path: Path) -> None:
    write_file(b"a", tmp_path / "raw", "a.csv")
    columns = {"user_id": "u", "item_id": "i", "value": "v"}
    sections = {"ratings": {"path": f"{tmp_path}/raw", "columns": columns}}
    base = tmp_path / "base"
    runner.run(Config.model_validate(sections), base, [COUNT])
    before = _hash(base)
    os.utime(tmp_path / "raw" / "a.csv", ns=(0, 0))
    config = Config.model_validate(sections | {"base": str(base)})
    assert _run(config, tmp_path / "root", COUNT)["count_raw"] == f"skip: up to date in {base}"
    assert _hash(base) == before


def test_a_plan_says_where_each_input_is(base: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    sow, grow, cook = plans.plan(_config(base, rank=7), root, FARM)
    assert (sow.places, grow.places) == ({}, {"seeds": base})
    assert cook.places == {"plants": root, "soil": base}


def test_rows_and_metrics_of_a_stage_in_the_base_are_told(base: Path, tmp_path: Path) -> None:
    (outcome,) = runner.run(_config(base), tmp_path / "root", [SOW])
    assert (outcome.rows, outcome.metrics) == ({"seeds": 0, "soil": 0}, {"grains": 10})


def test_a_forced_stage_runs_in_the_root(base: Path, tmp_path: Path) -> None:
    before, root = _hash(base), tmp_path / "root"
    assert _run(_config(base), root, SOW, force=True)["sow"] == "run: forced"
    assert (_outputs(root), _hash(base)) == ({"seeds", "soil"}, before)


def test_a_failure_in_the_root_says_nothing_in_the_base(base: Path, tmp_path: Path) -> None:
    before, root = _hash(base), tmp_path / "root"
    columns = {"user_id": "u", "item_id": "i", "value": "v"}
    sections = {"base": str(base), "ratings": {"path": f"{tmp_path}/gone", "columns": columns}}
    with pytest.raises(DataError):
        runner.run(Config.model_validate(sections), root, [COUNT])
    assert (root / "_status" / "count_raw.json").is_file() and _hash(base) == before


def test_a_base_may_be_in_an_object_store(s3_root: RemotePath, tmp_path: Path) -> None:
    remote, root = s3_root / "base", tmp_path / "root"
    runner.run(_config(), remote, [SOW])
    before = sorted(map(str, _files(remote)))
    done = _run(_config(str(remote)), root, SOW, GROW)
    assert done == {"sow": f"skip: up to date in {remote}", "grow": "run: never run here"}
    assert _text(root, "plants") == "10 grains, 4 cm high"
    assert sorted(map(str, _files(remote))) == before


def _files(place: RemotePath) -> list[RemotePath]:
    return [path for folder in storage.children(place) for path in storage.children(folder)]


def test_a_trainer_refuses_what_was_written_anew_in_the_base_meanwhile(base: Path) -> None:
    decided = Given(str(base), "seeds", **manifests.load(base, "seeds").manifest.identity())
    assert worker._input("seeds", decided).name == "seeds"
    runner.run(_config(), base, [SOW], force=True)
    with pytest.raises(ManifestError, match="was written anew"):
        worker._input("seeds", decided)
