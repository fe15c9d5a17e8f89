"""The system's limit of open files."""

import resource

from emberline.doctor.check import Check, ok, warning

ENOUGH = 4096  # Spark opens a file per core and shuffle partition, its jars, and those of Parquet


def check_open_files() -> Check:
    """The limit that holds for processes started here; Java raises its own from the soft to the hard one."""
    return judge_open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


def judge_open_files(soft: int, hard: int) -> Check:
    """The verdict on the two limits."""
    if resource.RLIM_INFINITY in (soft, hard) or hard >= ENOUGH:
        return ok("open files", "no limit" if soft == resource.RLIM_INFINITY else f"{soft:,} per process")
    return warning(
        "open files", f"at most {hard:,} per process", f"raise the hard limit to {ENOUGH:,} or more: ulimit -n, limits.conf"
    )
