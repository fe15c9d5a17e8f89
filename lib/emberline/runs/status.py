"""How each stage's last run ended, or that it runs: `_status/<stage>.json`, for whoever has no
exit code.
"""

import json
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from emberline.datasets import lock, storage, typed_json
from emberline.datasets.storage import Location
from emberline.errors import EmberlineError, Preempted
from emberline.logs import event, public

FOLDER = "_status"
State = Literal["running", "succeeded", "failed", "stopped", "killed"]
log = logging.getLogger(__name__)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Status:
    """What `_status/<stage>.json` says; a run that is `killed` did not live to say so, others
    found it.
    """

    stage: str
    state: State
    run_id: str
    fingerprint: str
    exit_code: int | None = None
    error: str | None = None
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    updated: str = field(default_factory=_now)
    seconds: float = 0.0
    peak_bytes: int | None = None  # of memory, held at once by all processes of the run
    rows: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def ended(self, error: BaseException, seconds: float, metrics: Mapping[str, Any]) -> "Status":
        """This run, after `error` has ended it."""
        told = public(error) if isinstance(error, EmberlineError) else type(error).__name__
        state: State = "stopped" if isinstance(error, Preempted | KeyboardInterrupt) else "failed"
        ending = replace(self, state=state, exit_code=exit_code(error), error=told)
        return replace(ending, updated=_now(), seconds=round(seconds, 3), metrics=dict(metrics))

    def succeeded(
        self,
        seconds: float,
        rows: Mapping[str, int],
        metrics: Mapping[str, Any],
        peak_bytes: int | None = None,
    ) -> "Status":
        """This run, after it has committed its outputs."""
        ending = replace(self, state="succeeded", exit_code=0, rows=dict(rows))
        ending = replace(ending, peak_bytes=peak_bytes)
        return replace(ending, updated=_now(), seconds=round(seconds, 3), metrics=dict(metrics))

    def killed(self) -> "Status":
        """This run, which is said to run and whose process is gone."""
        told = (
            f"process {self.pid} on {self.host}, at work since {self.updated}, was killed, or its"
            " machine went down"
        )
        return replace(self, state="killed", error=told)


def exit_code(error: BaseException) -> int:
    """What the process ends with when it fails with this error."""
    if isinstance(error, EmberlineError):
        return error.exit_code
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def read(root: Location, stage: str) -> Status | None:
    """What the file says; None where there is none, or it is not of this version."""
    try:
        return typed_json.build(Status, typed_json.read(_file(root, stage)))
    except (OSError, ValueError):
        return None


def look(root: Location, stage: str) -> Status | None:
    """What the file says, and where that is `running`, whether it can be true."""
    status = read(root, stage)
    if (
        status is None
        or status.state != "running"
        or lock.is_held_by(root, status.host, status.pid)
    ):
        return status
    return status.killed()


def all_of(root: Location) -> list[Status]:
    """The last runs of all stages in a root, as `look` sees them, the oldest first."""
    names = (path.name for path in storage.children(root / FOLDER) if not path.name.startswith("."))
    found = (look(root, name.removesuffix(".json")) for name in names if name.endswith(".json"))
    return sorted((status for status in found if status), key=lambda status: status.updated)


def settle(root: Location, stage: str) -> None:
    """Write `killed` where the file says `running`; for who holds the root's lock, so that
    nobody else can be at work.
    """
    status = read(root, stage)
    if status is not None and status.state == "running":
        log.warning(
            event(
                "killed_run_found",
                stage=stage,
                pid=status.pid,
                host=status.host,
                since=status.updated,
            )
        )
        write(root, status.killed())


def write(root: Location, status: Status) -> None:
    """Replace the file; a disk that is full must not hide what ended the stage."""
    text, file = json.dumps(asdict(status), indent=1).encode(), _file(root, status.stage)
    try:
        storage.replace_file(file, text)
    except OSError as failure:
        log.warning(event("status_not_written", stage=status.stage, because=failure))
        with suppress(OSError):
            storage.overwrite(file, text)


def _file(root: Location, stage: str) -> Location:
    return root / FOLDER / f"{stage}.json"
