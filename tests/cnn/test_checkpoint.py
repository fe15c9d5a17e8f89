"""Checkpoints saved, damaged and found again."""

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emberline.cnn import checkpoint
from emberline.cnn.checkpoint import Checkpoint, load
from emberline.errors import StorageError

VARIABLES = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array(7, np.int64),
    np.array([1.5, np.nan, -np.inf, 0.1]),
    np.array([[True], [False]]),
    np.zeros((0, 4), np.float16),
    np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4)),
    np.array([2**63 + 1], np.uint64),
]


def save(folder: Path, step: int, saved: Checkpoint, keep: int = 2) -> None:
    checkpoint.save(folder, step, saved, keep)


def load_latest(folder: Path) -> Checkpoint | None:
    found = checkpoint.load_latest(folder)
    return found and found[1]


def numbered(step: int) -> Checkpoint:
    return Checkpoint([np.array([step])], [], {"step": step})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Mine:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_arrays_and_state_come_back_exactly(tmp_path: Path) -> None:
    state = {
        "epoch": 3,
        "loss_sum": 0.1 + 0.2,
        "history": [{"loss": 1.5}],
        "name": "grün",
        "done": False,
        "best": None,
    }
    save(tmp_path / "checkpoints", 12, Checkpoint(VARIABLES, VARIABLES[:2], state))
    found = load_latest(tmp_path / "checkpoints")
    assert found is not None
    assert found.state == state
    for there, here in ((found.variables, VARIABLES), (found.best, VARIABLES[:2])):
        assert [(array.dtype, array.shape) for array in there] == [
            (array.dtype, array.shape) for array in here
        ]
        assert [array.tobytes() for array in there] == [array.tobytes() for array in here]


def test_more_than_ten_variables_keep_their_order(tmp_path: Path) -> None:
    save(
        tmp_path,
        1,
        Checkpoint([np.array(n) for n in range(25)], [np.array(n) for n in range(100, 112)], {}),
    )
    found = load_latest(tmp_path)
    assert found is not None
    assert [int(value) for value in found.variables] == list(range(25))
    assert [int(value) for value in found.best] == list(range(100, 112))


def test_infinity_survives_in_the_state(tmp_path: Path) -> None:
    save(
        tmp_path,
        1,
        Checkpoint([], [], {"best_loss": float("inf"), "other": float("-inf"), "tiny": 5e-324}),
    )
    assert load_latest(tmp_path) == Checkpoint(
        [], [], {"best_loss": float("inf"), "other": float("-inf"), "tiny": 5e-324}
    )


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (9, 10, 11, 100):
        save(tmp_path, step, numbered(step))
    assert names(tmp_path) == ["step-0000000011.npz", "step-0000000100.npz"]
    found = load_latest(tmp_path)
    assert found is not None
    assert found.state == {"step": 100}


def test_as_many_are_kept_as_one_says(tmp_path: Path) -> None:
    for step in range(5):
        save(tmp_path, step, numbered(step), keep=3)
    assert names(tmp_path) == [f"step-000000000{step}.npz" for step in (2, 3, 4)]


def test_a_step_is_found_by_its_number(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step, numbered(step))
    assert checkpoint.load_latest(tmp_path) == (2, numbered(2))
    assert load(tmp_path, 1) == numbered(1)


def test_a_step_that_cannot_be_read_here_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    save(tmp_path, 1, numbered(1))
    (tmp_path / "step-0000000001.npz").write_bytes(b"PK")
    for step in (1, 2):
        with pytest.raises(
            StorageError,
            match=rf"step-000000000{step}.npz, from which the chief .* every worker reaches",
        ):
            load(tmp_path, step)


def test_a_step_may_be_saved_again(tmp_path: Path) -> None:
    save(tmp_path, 5, numbered(1))
    save(tmp_path, 5, numbered(2))
    assert names(tmp_path) == ["step-0000000005.npz"]
    assert load_latest(tmp_path) == numbered(2)


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_a_truncated_file_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, keep: int
) -> None:
    save(tmp_path, 1, numbered(1))
    save(tmp_path, 2, numbered(2))
    newest = tmp_path / "step-0000000002.npz"
    newest.write_bytes(newest.read_bytes()[:keep])
    assert load_latest(tmp_path) == numbered(1)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(newest) in record.getMessage()


def test_after_damage_to_all_there_is_none(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step, numbered(step))
        (tmp_path / f"step-{step:010d}.npz").write_bytes(b"")
    assert load_latest(tmp_path) is None


def test_any_damaged_byte_is_noticed_or_does_not_matter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A few of the arrays' bytes, and all of the archive's directory at the end, which has no
    checksum.
    """
    caplog.set_level("CRITICAL")
    kept = Checkpoint(
        [np.arange(3, dtype=np.float32), np.array([4, 5])], [np.array([6.0])], {"step": 1}
    )
    save(tmp_path, 1, kept)
    path = tmp_path / "step-0000000001.npz"
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    changes = [(place, 0xFF) for place in range(0, directory, 7)]
    changes += [
        (place, change)
        for place in range(directory, len(content))
        for change in (0x01, 0x08, 0x40, 0xFF)
    ]
    noticed = 0
    for place, change in changes:
        path.write_bytes(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
        found = load_latest(tmp_path)
        noticed += found is None
        if found is not None:
            for there, here in ((found.variables, kept.variables), (found.best, kept.best)):
                assert [array.tolist() for array in there] == [array.tolist() for array in here], (
                    place
                )
            assert found.state == kept.state
    assert noticed > len(changes) / 2


def with_state(folder: Path, **arrays: Any) -> Path:
    path = folder / "step-0000000002.npz"
    np.savez(
        path, **{"state": np.array(json.dumps({"step": 2})), "counts": np.array([2, 0])} | arrays
    )
    return path


def test_a_pickled_object_inside_is_refused_and_not_run(tmp_path: Path) -> None:
    save(tmp_path, 1, numbered(1))
    with_state(
        tmp_path, variable_0=np.arange(3), variable_1=np.array([Mine(tmp_path / "owned")], object)
    )
    assert load_latest(tmp_path) == numbered(1)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "kind", ["pickle", "text", "other archive", "folder", "no state", "numbers missing"]
)
def test_other_files_of_that_name_are_passed_over(tmp_path: Path, kind: str) -> None:
    save(tmp_path, 1, numbered(1))
    path = tmp_path / "step-0000000002.npz"
    match kind:
        case "pickle":
            path.write_bytes(pickle.dumps(Mine(tmp_path / "owned")))
        case "text":
            path.write_text("step 2")
        case "other archive":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("state", '{"step": 2}')
        case "folder":
            path.mkdir()
        case "no state":
            np.savez(path, variable_0=np.arange(3))
        case "numbers missing":
            with_state(tmp_path, variable_0=np.arange(3), variable_2=np.arange(3))
    assert load_latest(tmp_path) == numbered(1)
    assert not (tmp_path / "owned").exists()


def test_foreign_files_are_neither_read_nor_removed(tmp_path: Path) -> None:
    foreign = [
        "notes.txt",
        "step-1.npz",
        "step-00000000003.npz",
        "step-0000000003.npz.bak",
        ".step-0000000003.npz.0f",
    ]
    for name in foreign:
        (tmp_path / name).write_bytes(b"")
    for step in (1, 2, 3):
        save(tmp_path, step, numbered(step))
    assert load_latest(tmp_path) == numbered(3)
    assert names(tmp_path) == sorted([*foreign, "step-0000000002.npz", "step-0000000003.npz"])


def test_a_folder_that_does_not_exist_has_none(tmp_path: Path) -> None:
    assert load_latest(tmp_path / "checkpoints") is None
