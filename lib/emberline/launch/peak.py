"""How much memory this process and all that it has started hold at once, looked at ten times a
second: on Linux, which says it in /proc.
"""

import os
import threading
from pathlib import Path
from typing import Self

_EVERY = 0.1  # seconds
_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Peak:
    """`with Peak() as peak: ...`, and then `peak.bytes`: the largest sum that was seen, pages that
    processes share counted for each of them; None where the system does not say.
    """

    def __init__(self) -> None:
        self.bytes: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="peak", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _look_on(self) -> None:
        while not self._ended.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        held = sum(map(resident, family(os.getpid())))
        if held:
            self.bytes = max(self.bytes or 0, held)


def family(process: int) -> list[int]:
    """A process and all that it, or one of them, has started and that are there."""
    found = [process]
    for one in found:
        found += _children(one)
    return found


def resident(process: int) -> int:
    """Bytes that a process holds in memory; 0 of one that is gone."""
    try:
        return int((_PROC / str(process) / "statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _children(process: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in (_PROC / str(process) / "task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    except OSError:  # it has ended, or this is no Linux
        pass
    return found
