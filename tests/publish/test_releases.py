"""Releases out of roots written by hand: whole, gated, killed at every step, and taken back."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from emberline.datasets import damage, lock, released, rows, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.parts import write_file, write_part
from emberline.datasets.remote import RemotePath
from emberline.datasets.schema import TABLES, fields_of
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, DataError, GateError, LockedError, ManifestError
from emberline.publish import gates, releases

KEEPS_QUALITY = [gates.parse("ndcg@10 >= 0.9 * previous")]


def run_id(day: int) -> str:
    return f"202501{day:02d}T000000-00000000"


def fill(
    root: Location, day: int, ndcg: float = 0.2, protocol: str = "aaa", popular: float = 0.1
) -> None:
    """What a pipeline leaves on one day: ids, recommendations made of them, and metrics of
    these.
    """
    ids = ProducedBy("prepare-ratings", f"{day:064x}", run_id(day))
    commit(
        root, "users", [{"user": 0, "user_id": "anna"}, {"user": day, "user_id": f"day {day}"}], ids
    )
    commit(root, "items", [{"item": 0, "item_id": "i0", "title": "Zero"}], ids)
    best = [
        {"user": user, "rank": 1, "item": 0, "score": float(day), "model": "als"}
        for user in (0, day)
    ]
    made = ProducedBy(
        "recommend",
        f"{day:064x}",
        run_id(day),
        {"model": "als"},
        {name: identity(ids) for name in ("users", "items")},
    )
    commit(root, "recommendations", best, made)
    measured = ProducedBy(
        "evaluate", f"{day:064x}", run_id(day), inputs={"recommendations": identity(made)}
    )
    values = {"als": ndcg, "most-popular": popular}
    rows = [
        {
            "model": model,
            "metric": "ndcg@10",
            "value": value,
            "users": 2,
            "standard_error": 0.01,
        }
        for model, value in values.items()
    ]
    content = {
        "reports": {
            "holdout": {"protocol": {"name": "fraction", "hash": protocol}, "metrics": rows}
        }
    }
    folder = root / "metrics" / manifests.run_folder(measured.fingerprint, measured.run_id)
    part = write_file(json.dumps(content).encode(), folder, f"metrics-{ndcg}/metrics.json")
    manifests.commit(root, Manifest("metrics", "artifact", [], 0, [part], measured))


def identity(by: ProducedBy) -> dict[str, str]:
    return {"fingerprint": by.fingerprint, "run_id": by.run_id}


def commit(root: Location, name: str, records: list[dict[str, Any]], by: ProducedBy) -> None:
    folder = root / name / manifests.run_folder(by.fingerprint, by.run_id)
    part = write_part(
        [pa.Table.from_pylist(records, TABLES[name])], folder, "part-00000", TABLES[name]
    )
    manifests.commit(
        root, Manifest(name, "table", fields_of(TABLES[name]), len(records), [part], by)
    )


def users_in(folder: Location) -> list[str]:
    """What a serving system reads, every part of it checked."""
    place = released.current_root(folder)
    for name in ("users", "items", "recommendations"):
        damage.verify(manifests.load(place, name))
    found: list[str] = rows.head(manifests.load(place, "users"), 9)["user_id"].to_pylist()
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "_lock"
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "served"


def test_what_is_served_is_the_roots_tables_and_stays_when_the_root_goes_on(
    root: Path, folder: Path
) -> None:
    fill(root, 1)
    release, is_new = releases.publish(root, folder)
    assert is_new and release.previous is None
    assert release.rows == {"recommendations": 2, "users": 2, "items": 1}
    fill(root, 2)
    assert users_in(folder) == ["anna", "day 1"]
    second, _ = releases.publish(root, folder)
    assert second.previous == release.release
    assert users_in(folder) == ["anna", "day 2"]


def test_of_tables_of_one_model_those_that_have_seen_more_are_served(
    root: Path, folder: Path
) -> None:
    fill(root, 1)
    by = ProducedBy("train-als", "1" * 64, run_id(1))
    for name in ("user_factors", "item_factors", "refitted_user_factors"):
        side = "item" if name.startswith("item") else "user"
        commit(root, name, [{side: 0, "factors": [1.0]}], by)
    release, _ = releases.publish(root, folder)
    assert set(release.datasets) - {"users", "items", "recommendations"} == {
        "refitted_user_factors",
        "item_factors",
    }
    named, _ = releases.publish(root, folder, ["user_factors"])
    assert set(named.datasets) == {"user_factors"}


def test_the_same_tables_are_published_once(root: Path, folder: Path) -> None:
    fill(root, 1)
    first, _ = releases.publish(root, folder)
    before = files(folder)
    assert releases.publish(root, folder) == (first, False)
    assert files(folder) == before


def test_a_gate_that_fails_leaves_what_is_published_byte_for_byte(root: Path, folder: Path) -> None:
    fill(root, 1, ndcg=0.2)
    first, _ = releases.publish(root, folder)
    before = files(folder)
    fill(root, 2, ndcg=0.17)
    with pytest.raises(
        GateError,
        match=rf"release {first.release} stays; ndcg@10 >= .*: found 0\.17, the limit is 0\.18",
    ):
        releases.publish(root, folder, conditions=KEEPS_QUALITY)
    assert files(folder) == before
    releases.publish(root, folder, conditions=KEEPS_QUALITY, is_baseline=True)
    assert users_in(folder) == ["anna", "day 2"]


def test_lists_that_lose_to_the_most_popular_items_are_not_published_unless_told(
    root: Path, folder: Path
) -> None:
    fill(root, 1, ndcg=0.05, popular=0.08)
    with pytest.raises(
        GateError,
        match=(
            r"als.ndcg@10 is no worse than most-popular: found 0\.05, the limit is 0\.0517157; .*"
            r"--no-default-gates"
        ),
    ):
        releases.publish(root, folder)
    release, _ = releases.publish(root, folder, with_defaults=False)
    assert release.gates == []


def test_what_lists_are_asked_by_default_stands_in_the_release(root: Path, folder: Path) -> None:
    fill(root, 1, ndcg=0.2, popular=0.08)
    release, _ = releases.publish(root, folder)
    (verdict,) = release.gates
    assert verdict.gate == "holdout:als.ndcg@10 is no worse than most-popular" and verdict.holds
    assert verdict.limit == pytest.approx(0.08 - 2 * 0.01 * 2**0.5)


def test_another_protocol_needs_a_new_baseline(root: Path, folder: Path) -> None:
    fill(root, 1)
    releases.publish(root, folder)
    fill(root, 2, ndcg=0.9, protocol="bbb")
    with pytest.raises(GateError, match="measured by protocol bbb, the previous release by aaa"):
        releases.publish(root, folder, conditions=KEEPS_QUALITY)


def test_a_publish_killed_at_any_step_leaves_the_old_or_the_new_and_the_next_one_completes(
    root: Path, folder: Path
) -> None:
    fill(root, 1)
    releases.publish(root, folder)
    old, old_files = users_in(folder), files(folder)
    fill(root, 2)
    steps = 0
    while killed_at(steps, lambda: releases.publish(root, folder, keep=1), folder):
        now = users_in(folder)
        if now == old:
            assert old_files.items() <= files(folder).items()
        else:
            assert now == ["anna", "day 2"]
        steps += 1
    assert steps > 20
    assert users_in(folder) == ["anna", "day 2"]
    releases.publish(root, folder, keep=1)
    current = released.current(folder)
    assert current and [path.name for path in (folder / "releases").iterdir()] == [current.release]


def killed_at(step: int, work: Callable[[], Any], folder: Path) -> bool:
    """Whether a process doing the work was killed, by SIGKILL, before its `step`-th operation
    on a file in the folder.
    """
    process = os.fork()
    if process == 0:
        sys.addaudithook(Killer(step, str(folder)))
        work()
        os._exit(0)
    _, status = os.waitpid(process, 0)
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status != 0


class Killer:
    """Kills its own process when it is about to do one more thing to files in the folder than
    it may.
    """

    def __init__(self, steps: int, folder: str) -> None:
        self.steps, self.folder = steps, folder

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in (
            "open",
            "os.rename",
            "os.remove",
            "os.mkdir",
            "os.rmdir",
        ) and self.folder in str(arguments[0]):
            self.steps -= 1
            if self.steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)


def test_only_the_newest_releases_are_kept(root: Path, folder: Path) -> None:
    for day in range(1, 6):
        fill(root, day)
        releases.publish(root, folder, keep=2)
    assert len(list((folder / "releases").iterdir())) == 2
    assert releases.rollback(folder).rows["users"] == 2
    assert users_in(folder) == ["anna", "day 4"]
    with pytest.raises(DataError, match=r"is not in .* any more; publish with a larger --keep"):
        releases.rollback(folder)


def test_rolled_back_and_published_again_the_new_tables_are_served(
    root: Path, folder: Path
) -> None:
    for day in (1, 2):
        fill(root, day)
        releases.publish(root, folder)
    releases.rollback(folder)
    assert users_in(folder) == ["anna", "day 1"]
    assert releases.publish(root, folder)[1]
    assert users_in(folder) == ["anna", "day 2"]


def test_a_rollback_to_a_damaged_release_is_refused(root: Path, folder: Path) -> None:
    for day in (1, 2):
        fill(root, day)
        releases.publish(root, folder)
    current = released.current(folder)
    assert current and current.previous
    next((folder / "releases" / current.previous).glob("users/*/part-*")).unlink()
    with pytest.raises(ManifestError, match=r"lists 1 parts but .* is missing"):
        releases.rollback(folder)
    assert users_in(folder) == ["anna", "day 2"]


def test_without_a_release_there_is_nothing_to_go_back_to(root: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="nothing was published there"):
        releases.rollback(folder)
    assert not folder.exists()
    fill(root, 1)
    releases.publish(root, folder)
    with pytest.raises(DataError, match="has none before it"):
        releases.rollback(folder)


def test_tables_of_different_runs_are_not_published(root: Path, folder: Path) -> None:
    fill(root, 1)
    new = ProducedBy("prepare-ratings", f"{2:064x}", run_id(2))
    commit(root, "users", [{"user": 0, "user_id": "anna"}], new)
    commit(root, "items", [{"item": 0, "item_id": "i0", "title": None}], new)
    with pytest.raises(
        ManifestError,
        match=rf"recommendations in .* made of users of run {run_id(1)}, .* whole pipeline",
    ):
        releases.publish(root, folder)
    assert released.current(folder) is None


def test_an_altered_part_is_not_published(root: Path, folder: Path) -> None:
    fill(root, 1)
    (part,) = (root / "users").glob("*/part-*")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    with pytest.raises(
        ManifestError, match=r"part-00000-.* was altered: .*rerun prepare-ratings with --force"
    ):
        releases.publish(root, folder)
    assert released.current(folder) is None


def test_what_cannot_be_published_is_a_mistake(root: Path, folder: Path) -> None:
    with pytest.raises(ManifestError, match="has no table to publish"):
        releases.publish(root, folder)
    fill(root, 1)
    with pytest.raises(ConfigError, match="ratings cannot be published"):
        releases.publish(root, folder, tables=["ratings"])


@pytest.mark.parametrize("below", ["", "served"])
def test_the_root_itself_is_no_place_to_publish_to(root: Path, below: str) -> None:
    fill(root, 1)
    with pytest.raises(
        ConfigError, match="is in the pipeline's own root; publish to a folder elsewhere"
    ):
        releases.publish(root, root / below)


def test_a_file_of_releases_that_leaves_its_folder_is_refused(root: Path, folder: Path) -> None:
    fill(root, 1)
    releases.publish(root, folder)
    content = json.loads((folder / "current.json").read_text())
    (folder / "current.json").write_text(json.dumps(content | {"release": "../../elsewhere"}))
    with pytest.raises(ManifestError, match="is not a release of this version"):
        released.current_root(folder)


def test_two_publishes_do_not_work_on_one_folder(root: Path, folder: Path) -> None:
    fill(root, 1)
    with lock.hold(folder), pytest.raises(LockedError):
        releases.publish(root, folder)


def test_a_bucket_is_published_to_as_a_folder_is(
    root: Path, s3_root: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.1)
    for day in (1, 2):
        fill(root, day)
        releases.publish(root, s3_root, keep=2)
    assert users_in(s3_root) == ["anna", "day 2"]
    releases.rollback(s3_root)
    assert users_in(s3_root) == ["anna", "day 1"]
    assert len(storage.children(s3_root / "releases")) == 2


def test_releases_that_are_a_link_keep_what_is_elsewhere(
    root: Path, folder: Path, tmp_path: Path
) -> None:
    old = tmp_path / "elsewhere" / run_id(1)
    old.mkdir(parents=True)
    folder.mkdir()
    (folder / "releases").symlink_to(tmp_path / "elsewhere")
    fill(root, 1)
    with pytest.raises(
        ConfigError, match=r"releases is a link, and links within .* are not followed"
    ):
        releases.publish(root, folder, keep=1)
    assert list((tmp_path / "elsewhere").iterdir()) == [old]
