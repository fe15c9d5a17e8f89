"""The limits of the control group that this process is in: a container's, a batch job's or a
service's.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 60  # version 1 says "no limit" by a number near 2^63


@dataclass(frozen=True)
class Limits:
    """`memory` in bytes and `cores` as a number that need not be whole; None where there is no
    limit.
    """

    memory: int | None = None
    cores: float | None = None


def read_limits(
    membership: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> Limits:
    """The tightest limits of the group and of those around it, of both versions of control
    groups.
    """
    memory: list[int] = []
    cores: list[float] = []
    for folder in _folders(membership, mount):
        memory += [
            int(text)
            for name in ("memory.max", "memory.limit_in_bytes")
            if (text := _text(folder / name)).isdecimal()
        ]
        cores += _quotas(folder)
    limit = min(memory, default=_UNLIMITED)
    return Limits(limit if limit < _UNLIMITED else None, min(cores, default=None))


def usable_cores(quota: float | None) -> int:
    """The cores that this process may run on, and no more than the control group's quota."""
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(allowed, max(1, math.ceil(quota))) if quota else allowed


def _folders(membership: Path, mount: Path) -> Iterator[Path]:
    """The group's folders up to the mount's root: in a container often the root alone is there,
    and says what holds.
    """
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        top = mount / controllers if controllers else mount
        below = Path(path.lstrip("/"))
        yield from (top / place for place in (below, *below.parents))


def _quotas(folder: Path) -> Iterator[float]:
    """CPU time per time: `cpu.max` says "quota period" or "max period", version 1 has a file
    for each and -1 for no limit.
    """
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal():
        yield int(quota) / int(period)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
