"""What a disk's refusal is said to be: real ones of small and closed disks, and those that Java
and Spark's workers only tell.
"""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emberline.datasets import disk, storage
from emberline.errors import ConfigError, DataError, EmberlineError, StorageError

JAVA = (
    "org.apache.spark.SparkException: Job aborted ...: java.io.IOException: {}/spill-1 (No space"
    " left on device)\n\tat x"
)
WORKER = (
    "Traceback ...\n  File parts.py, line 3\nOSError: [Errno 28] No space left on device\n\n\tat"
    " org.apache.spark"
)
BARE = (
    "SparkException: Job aborted due to ...: java.io.IOException: No space left on device\n\tat"
    " sun.nio.ch"
)


@pytest.fixture
def small(tmp_path: Path, small_disk: Callable[..., None]) -> Path:
    """A disk of a megabyte."""
    small_disk(tmp_path / "small", "1m")
    return tmp_path / "small"


def test_a_full_disk_is_named_with_what_is_left(small: Path) -> None:
    said = (
        rf"^the disk of {small}/new is full: 1,04\d,\d+ of 1,048,576 bytes are left, 2,097,152 were"
        r" to be written; make room"
    )
    with pytest.raises(StorageError, match=said) as refused, disk.explained(small):
        storage.replace_file(small / "old", b"old")
        storage.replace_file(small / "new", bytes(2 << 20))
    assert refused.value.exit_code == 1
    assert [path.name for path in small.iterdir()] == ["old"]
    assert (small / "old").read_bytes() == b"old"


def test_a_disk_that_is_mounted_read_only_is_a_mistake(small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with (
        pytest.raises(ConfigError, match=rf"^{small}/\S+ is mounted read-only; change that"),
        disk.explained(small),
    ):
        storage.replace_file(small / "new", b"new")


def test_a_limit_of_a_files_size_is_named(tmp_path: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from emberline.datasets import disk, storage
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))
try:
    with disk.explained(Path({str(tmp_path)!r})):
        storage.replace_file(Path({str(tmp_path / "new")!r}), bytes(5000))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (
        done.stdout.startswith("ConfigError ")
        and "takes no larger files (ulimit -f)" in done.stdout
    ), done.stderr


@pytest.mark.parametrize(("text", "place"), [(JAVA, "{}/spill-1"), (WORKER, "{}"), (BARE, "{}")])
def test_what_spark_tells_of_a_full_disk_is_understood(
    text: str, place: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(small))
    found = disk.refusal(RuntimeError(text.format(small)), Path("/"))
    assert isinstance(found, StorageError)
    assert str(found).startswith(
        f"the disk of {place.format(small)} is full: 1,048,576 of 1,048,576 bytes are left"
    )


def test_a_folder_of_somebody_else_is_named() -> None:
    found = disk.refusal(
        RuntimeError("java.io.FileNotFoundException: /spark/blockmgr-1/0c (Permission denied)")
    )
    assert isinstance(found, ConfigError) and str(found).startswith(
        "/spark/blockmgr-1/0c may not be written by this user; "
    )
    found = disk.refusal(
        RuntimeError(
            "{{function_node}} /tmp/logs/events.1; Read-only file system [Op:WriteSummary]"
        )
    )
    assert isinstance(found, ConfigError) and str(found).startswith(
        "/tmp/logs/events.1 is mounted read-only; "
    )


@pytest.mark.parametrize(
    "error",
    [
        ValueError("No space left on device"),
        OSError(errno.ENOENT, os.strerror(errno.ENOENT), "/x"),
        ZeroDivisionError(),
        DataError("[Errno 28] No space left on device: '/x'"),
        StorageError("no answer"),
    ],
)
def test_other_errors_stay_what_they_are(error: Exception | EmberlineError) -> None:
    assert disk.refusal(error, Path("/")) is None
    with pytest.raises(type(error)), disk.explained(Path("/")):
        raise error
