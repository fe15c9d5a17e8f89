"""How much memory the processes of this machine may take together."""

import os

from emberline.launch import cgroups


def machine_memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def limit(group: int | None) -> tuple[int, str]:
    """Bytes, and what they are the limit of: the machine's, or, where that is less, the control
    `group`'s.
    """
    total = machine_memory()
    if group is not None and group < total:
        return group, "within the control group's limit (a container's or a job's)"
    return total, "in this machine"


def describe() -> str:
    """The limit that holds for this process, for people."""
    total, place = limit(cgroups.read_limits().memory)
    return f"{gib(total)} {place}"


def gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
