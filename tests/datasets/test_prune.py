"""What pruning removes and spares, on folders made here and aged by hand."""

import logging
import os
import time
from pathlib import Path

import pytest

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.parts import write_file
from emberline.datasets.prune import prune
from emberline.errors import ConfigError

FINGERPRINTS = {"a": "a" * 16, "f": "f" * 16}
DAY = 86_400.0


def _run(root: Path, run: str, name: str = "ratings", age: float = DAY) -> Path:
    """The folder of a run such as `f1`: fingerprint f..., run 1 of the day; not committed."""
    folder = root / name / f"{FINGERPRINTS[run[0]]}-20250101T00000{run[1]}-00000000"
    write_file(b"rows", folder, "0.bin")
    _age(folder, age)
    return folder


def _age(folder: Path, age: float) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - age,) * 2)


def _commit(folder: Path) -> None:
    part = manifests.Part(f"{folder.name}/0.bin", 0, 0, 4, "")
    fingerprint, _, run_id = folder.name.partition("-")
    produced_by = ProducedBy("prepare-ratings", fingerprint, run_id)
    manifests.commit(
        folder.parent.parent, Manifest(folder.parent.name, "artifact", [], 0, [part], produced_by)
    )


def test_only_the_run_that_the_manifest_names_stays_with_keep_1(root: Path) -> None:
    old, current, killed = _run(root, "a1"), _run(root, "a2"), _run(root, "a3")
    _commit(current)
    assert set(prune(root, keep=1, older_than=0)) == {old, killed}
    assert sorted(path.name for path in (root / "ratings").iterdir()) == [
        current.name,
        "manifest.json",
    ]
    assert manifests.load(root, "ratings").paths[0].read_bytes() == b"rows"


def test_the_newest_others_stay_whatever_their_fingerprint(root: Path) -> None:
    oldest, older, newer, current = (_run(root, run) for run in ("f1", "a2", "f3", "a4"))
    _commit(current)
    assert prune(root, keep=3, older_than=0) == [oldest]
    assert prune(root, keep=2, older_than=0) == [older]
    assert newer.is_dir()


def test_the_current_run_stays_though_others_are_newer(root: Path) -> None:
    current, newer = _run(root, "a1"), _run(root, "a2")
    _commit(current)
    assert prune(root, keep=1, older_than=0) == [newer]
    assert current.is_dir()


def test_what_changed_lately_is_spared_at_any_depth(root: Path) -> None:
    current, running, dead = (
        _run(root, "a1"),
        _run(root, "a2", age=3 * DAY),
        _run(root, "a3", age=3 * DAY),
    )
    _commit(current)
    (running / "deep").mkdir()
    (running / "deep" / "part").touch()
    os.utime(running / "deep", (0, 0))
    os.utime(running, (0, 0))
    assert prune(root, keep=1, older_than=DAY) == [dead]


def test_runs_that_were_never_committed_go_too(root: Path) -> None:
    killed = _run(root, "a1")
    assert prune(root, keep=1, older_than=0) == [killed]


def test_each_dataset_is_counted_for_itself(root: Path) -> None:
    current = [_run(root, "a1", name) for name in ("ratings", "users")]
    for folder in current:
        _commit(folder)
    assert prune(root, keep=1, older_than=0) == []


def test_a_dataset_whose_manifest_cannot_be_read_is_left_alone(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [_run(root, "a1"), _run(root, "a2")]
    (root / "ratings" / "manifest.json").write_text("{")
    logger = logging.getLogger("emberline")
    logger.addHandler(caplog.handler)
    try:
        assert prune(root, keep=1, older_than=0) == []
    finally:
        logger.removeHandler(caplog.handler)
    assert all(folder.is_dir() for folder in runs)
    assert "prune_skipped dataset=ratings" in caplog.text


def test_work_folders_of_killed_runs_go_unless_they_are_in_use(root: Path) -> None:
    dead, used = (root / "_work" / "train-als" / FINGERPRINTS[letter] for letter in "af")
    for folder, age in ((dead, 2 * DAY), (used, 60.0)):
        write_file(b"checkpoint", folder, "step/100.bin")
        _age(folder, age)
    assert prune(root, keep=1, older_than=DAY) == [dead]
    assert used.is_dir()


def test_what_is_not_ours_stays(root: Path) -> None:
    """Such as the folder _work of a CI runner, where somebody gives the wrong root."""
    _commit(_run(root, "a1"))
    strangers = [
        root / "ratings" / "backup",
        root / "ratings" / "f1-20250101",
        root / "_work" / "project" / "project",
        root / "_status" / "x",
        root / "notes",
    ]
    for folder in strangers:
        write_file(b"mine", folder, "note.txt")
        _age(folder, DAY)
    assert prune(root, keep=1, older_than=0) == []
    assert all((folder / "note.txt").is_file() for folder in strangers)


def test_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    elsewhere = _run(tmp_path / "elsewhere", "a1")
    (root / "ratings").mkdir(parents=True)
    (root / "ratings" / elsewhere.name).symlink_to(elsewhere)
    assert prune(root, keep=1, older_than=0) == []
    assert elsewhere.is_dir()


def test_a_dataset_that_is_a_link_keeps_what_is_elsewhere(root: Path, tmp_path: Path) -> None:
    elsewhere = _run(tmp_path / "elsewhere", "a1")
    root.mkdir()
    (root / "ratings").symlink_to(elsewhere.parent)
    assert prune(root, keep=1, older_than=0) == []
    assert (elsewhere / "0.bin").is_file()


@pytest.mark.parametrize("linked", ["_work", "_work/train-als"])
def test_work_that_is_a_link_keeps_what_is_elsewhere(
    root: Path, tmp_path: Path, linked: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    work = (elsewhere / Path("_work/train-als").relative_to(linked)) / FINGERPRINTS["a"]
    write_file(b"checkpoint", work, "step/100.bin")
    (root / linked).parent.mkdir(parents=True)
    (root / linked).symlink_to(elsewhere)
    assert prune(root, keep=1, older_than=0) == []
    assert (work / "step" / "100.bin").is_file()


def test_a_dangling_link_in_a_run_folder_goes_with_it(root: Path) -> None:
    killed = _run(root, "a1")
    (killed / "to-nowhere").symlink_to(root / "nowhere")
    (root / "to-nowhere").symlink_to(root / "nowhere")
    assert prune(root, keep=1, older_than=0) == [killed]
    assert not killed.exists()


def test_a_root_that_is_not_there_is_a_mistake(root: Path) -> None:
    with pytest.raises(ConfigError, match="root is not a folder; give the root of a pipeline"):
        prune(root, keep=1, older_than=0)
