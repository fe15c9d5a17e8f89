"""One run at a time per root: a lock that says who holds it, and that a crash does not leave
behind.

On a local path, or one that is mounted, it is the kernel's lock of `<root>/_lock`, gone with the
process that holds it. Object stores have no locks: there, the holder renews a lease. Who wants it
writes its name and looks a little later whether it still stands.
"""

import fcntl
import json
import logging
import os
import secrets
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol

from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, LockedError
from emberline.logs import event, public_command

FILE_NAME = "_lock"
LEASE_SECONDS = (
    # without a renewal, the holder is taken for dead; clocks of machines that share a root agree
    # better than that
    180.0
)
RENEWAL_SECONDS = 30.0
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
SETTLE_SECONDS = 2.0  # longer than a slow writer takes from looking to writing
log = logging.getLogger(__name__)
Holder = dict[str, Any]


class Lock(Protocol):
    """What is held."""

    def check(self) -> None:
        """Raises LockedError where somebody else has it by now."""


@contextmanager
def hold(root: Location) -> Iterator[Lock]:
    """Hold the lock of a root, which is made where it is not there.

    Raises LockedError, which names the holder; ConfigError where nothing can be written.
    """
    place = root / FILE_NAME
    if isinstance(place, Path):
        with _kernel_lock(place) as lock:
            yield lock
    else:
        with Lease(place) as lease:
            yield lease


def is_held_by(root: Location, host: str, pid: int) -> bool:
    """Whether this process holds the root's lock now, as far as can be told from here."""
    place = root / FILE_NAME
    try:
        if isinstance(place, Path) and not _is_ours(place.lstat()):  # a pipe would keep us waiting
            return False
        holder = _parse(place.read_bytes())
        if (holder.get("host"), holder.get("pid")) != (host, pid):
            return False
        return (
            _is_locked(place)
            if isinstance(place, Path)
            else time.time() - place.stat().st_mtime < LEASE_SECONDS
        )
    except (FileNotFoundError, PermissionError):
        return False


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


class _KernelLock:
    def check(self) -> None:
        """The kernel takes it from nobody."""


@contextmanager
def _kernel_lock(path: Path) -> Iterator[Lock]:
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(_in_use(path, _parse(file.read()))) from None
        if left := _parse(file.read()):
            _report_takeover(path, left)
        _rewrite(file, json.dumps(_myself()).encode())
        try:
            yield _KernelLock()
        finally:
            _rewrite(file, b"")


def _opened(path: Path) -> IO[bytes]:
    """The lock's file. Raises ConfigError for a link, of either kind, since what it leads to
    would be emptied.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            raise ConfigError(_not_ours(path))
        descriptor = os.open(path, _OPEN, 0o666)
    except OSError as error:
        raise ConfigError(
            f"{path.parent} cannot be written to: {error}; set root to a folder that can"
        ) from None
    if not _is_ours(os.fstat(descriptor)):
        os.close(descriptor)
        raise ConfigError(_not_ours(path))
    return os.fdopen(descriptor, "r+b")


def _is_ours(status: os.stat_result) -> bool:
    """Whether it is a file of this name alone: no link of either kind, no pipe, no device."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _not_ours(path: Path) -> str:
    return (
        f"{path} is a link or a device, not the file of a lock; look at who put it there, and"
        " remove it"
    )


def _rewrite(file: IO[bytes], content: bytes) -> None:
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()


class Lease:
    """A lock in a storage without locks: `place` names its holder, who renews it."""

    def __init__(self, place: Location) -> None:
        self._place = place
        self._holder = _myself() | {"token": secrets.token_hex(8)}
        self._ended = threading.Event()
        self._lost: Holder | None = None

    def __enter__(self) -> "Lease":
        holder, age = self._look()
        if holder and age < LEASE_SECONDS:
            raise LockedError(_in_use(self._place, holder))
        if holder:
            _report_takeover(self._place, holder)
        self._write()
        time.sleep(SETTLE_SECONDS)
        self.check()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        if not self._lost:
            with suppress(OSError):
                self._place.unlink(missing_ok=True)

    def check(self) -> None:
        """Raises LockedError where the place names somebody else."""
        if self._lost or self._is_lost():
            raise LockedError(_in_use(self._place, self._lost or {}))

    def _is_lost(self) -> bool:
        holder, _ = self._look()
        if holder.get("token") != self._holder["token"]:
            self._lost = holder or {"host": "nobody: the lock was removed"}
        return self._lost is not None

    def _renew(self) -> None:
        while not self._ended.wait(RENEWAL_SECONDS):
            try:
                if self._is_lost():
                    return
                self._write()
            except OSError as error:  # the storage may answer again before the lease ends
                log.warning(event("lock_not_renewed", place=self._place, because=error))

    def _look(self) -> tuple[Holder, float]:
        """Who holds it, and how many seconds ago that was written; nobody where it is not there."""
        try:
            return _parse(self._place.read_bytes()), time.time() - self._place.stat().st_mtime
        except FileNotFoundError:
            return {}, 0.0

    def _write(self) -> None:
        storage.replace_file(self._place, json.dumps(self._holder).encode())


def _myself() -> Holder:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": public_command(sys.argv),
    }


def _parse(content: bytes) -> Holder:
    """The holder that a lock's content names; empty for what names none."""
    with suppress(ValueError):
        holder = json.loads(content)
        if isinstance(holder, dict):
            return holder
    return {}


def _describe(holder: Holder) -> str:
    facts = {name: holder.get(name, "unknown") for name in ("host", "pid", "since", "command")}
    return "process {pid} on {host} since {since} ({command})".format(**facts)


def _in_use(place: Location, holder: Holder) -> str:
    return f"{place.parent} is in use by {_describe(holder)}; try again when it has ended"


def _report_takeover(place: Location, left: Holder) -> None:
    log.warning(
        event(
            "lock_taken_over",
            root=place.parent,
            held_by=f"{_describe(left)}, which ended without releasing it",
        )
    )
