"""One run at a time per root, held by real processes that end well or not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emberline.datasets import lock
from emberline.datasets.remote import RemotePath
from emberline.errors import ConfigError, LockedError

HOLD = """
import sys, time
from emberline.datasets import lock, storage
with lock.hold(storage.locate(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
Holder = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def holder() -> Iterator[Holder]:
    """`holder(root, *arguments)` starts a process that holds the root's lock until it is
    killed, and waits until it does.
    """
    started: list[subprocess.Popen[str]] = []

    def start(root: object, *arguments: str) -> "subprocess.Popen[str]":
        program = [sys.executable, "-c", HOLD, str(root), *arguments]
        started.append(subprocess.Popen(program, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout and started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_run_is_told_who_holds_the_lock(root: Path, holder: Holder) -> None:
    secrets = (
        "--set=spark.conf.fs.s3a.secret.key=hunter2",
        "--set",
        "spark.conf.fs.azure.sas.a.b=?sig=hunter2",
    )
    first = holder(root, "run", "demo.toml", *secrets)
    with pytest.raises(
        LockedError,
        match=rf"{root} is in use by process {first.pid} on .* since .*demo\.toml.*try again",
    ) as refused:
        lock.hold(root).__enter__()
    assert refused.value.exit_code == 75
    assert "hunter2" not in str(refused.value) and "hunter2" not in (root / "_lock").read_text()


def test_a_lock_left_by_a_killed_run_is_taken_over(
    root: Path, holder: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    killed = holder(root)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    with lock.hold(root):
        assert json.loads((root / "_lock").read_text())["pid"] == os.getpid()
    assert f"process {killed.pid} on" in caplog.text and "ended without releasing it" in caplog.text


def test_a_lock_that_was_released_is_free_and_nobody_is_named(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with lock.hold(root) as held:
            held.check()
    with pytest.raises(ZeroDivisionError), lock.hold(root):
        raise ZeroDivisionError
    with lock.hold(root):
        pass
    assert caplog.text == ""


def test_a_root_in_which_nothing_can_be_written_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"file cannot be written to: .*; set root to a folder that can"
    ):
        lock.hold(tmp_path / "file").__enter__()


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_a_lock_that_is_a_link_does_not_empty_what_it_leads_to(
    tmp_path: Path, root: Path, make: Callable[..., None]
) -> None:
    (tmp_path / "diary").write_text("dear diary")
    root.mkdir()
    make(root / "_lock", tmp_path / "diary")
    with pytest.raises(
        ConfigError, match=r"_lock is a link or a device, not the file of a lock; .*remove it"
    ):
        lock.hold(root).__enter__()
    assert (tmp_path / "diary").read_text() == "dear diary"


def test_a_lock_that_is_a_dangling_link_or_a_pipe_is_refused_at_once(
    tmp_path: Path, root: Path
) -> None:
    root.mkdir()
    (root / "_lock").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is a link or a device"):
        lock.hold(root).__enter__()
    assert not (tmp_path / "nowhere").exists()
    (root / "_lock").unlink()
    os.mkfifo(root / "_lock")
    assert not lock.is_held_by(root, "host", 1)
    with pytest.raises(ConfigError, match="is a link or a device"):
        lock.hold(root).__enter__()


def test_other_roots_are_not_held(tmp_path: Path, holder: Holder) -> None:
    holder(tmp_path / "one")
    with lock.hold(tmp_path / "two"):
        assert json.loads((tmp_path / "two" / "_lock").read_text())["pid"] == os.getpid()


# -------------------------------------------------------------------------------------------------
# storages without locks


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(lock, "RENEWAL_SECONDS", 0.2)


def test_a_bucket_has_one_holder(s3_root: RemotePath, holder: Holder, quick: None) -> None:
    first = holder(s3_root, "run", "demo.toml")
    with pytest.raises(LockedError, match=rf"in use by process {first.pid} on .*demo\.toml"):
        lock.hold(s3_root).__enter__()


def test_a_lease_that_nobody_renews_is_taken_over(
    s3_root: RemotePath,
    holder: Holder,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    killed = holder(s3_root)
    killed.send_signal(signal.SIGKILL)
    with pytest.raises(LockedError):
        lock.hold(s3_root).__enter__()
    monkeypatch.setattr(lock, "LEASE_SECONDS", 1.0)
    time.sleep(2.1)  # the server tells times in whole seconds
    with lock.hold(s3_root) as held:
        held.check()
    assert f"process {killed.pid} on" in caplog.text
    assert not (s3_root / "_lock").exists()


def test_a_lease_is_renewed_while_it_is_held(
    s3_root: RemotePath, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 2.5)
    with lock.hold(s3_root):
        time.sleep(4)
        with pytest.raises(LockedError):
            lock.hold(s3_root).__enter__()


def test_of_two_that_wrote_at_once_the_later_holds_it_and_the_other_is_told(
    s3_root: RemotePath, quick: None
) -> None:
    with lock.hold(s3_root) as held:
        (s3_root / "_lock").write_bytes(b'{"pid": 7, "host": "elsewhere", "token": "other"}')
        with pytest.raises(LockedError, match="process 7 on elsewhere"):
            held.check()
    assert (s3_root / "_lock").exists()
