"""The system's limits of open files and of memory that processes share."""

import os
import resource
from pathlib import Path

from emberline.doctor.check import Check, ok, warning

ENOUGH = 4096  # Spark opens a file per core and shuffle partition, its jars, and those of Parquet
_SHARED = 64 << 20  # bytes, which containers have by default


def check_shared_memory(folder: Path = Path("/dev/shm")) -> list[Check]:
    """A line where the system has such memory: libraries that hand arrays or gradients to other
    processes put them there.
    """
    if not folder.is_dir():
        return []
    status = os.statvfs(folder)
    size = status.f_blocks * status.f_frsize
    if size < _SHARED:
        remedy = "make it larger: docker run --shm-size=1g, an emptyDir of medium Memory"
        return [
            warning(
                "shared memory",
                f"{folder} holds {size:,} bytes, which GPUs and process pools need more of",
                remedy,
            )
        ]
    return [ok("shared memory", f"{folder}: {size:,} bytes")]


def check_open_files() -> Check:
    """The limit that holds for processes started here; Java raises its own from the soft to the
    hard one.
    """
    return judge_open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


def judge_open_files(soft: int, hard: int) -> Check:
    """The verdict on the two limits."""
    if resource.RLIM_INFINITY in (soft, hard) or hard >= ENOUGH:
        return ok(
            "open files", "no limit" if soft == resource.RLIM_INFINITY else f"{soft:,} per process"
        )
    return warning(
        "open files",
        f"at most {hard:,} per process",
        f"raise the hard limit to {ENOUGH:,} or more: ulimit -n, limits.conf",
    )
