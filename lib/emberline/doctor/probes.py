"""Commands that are run for what they say, each with a deadline: a crash or a hang in one is an
answer, too.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

SECONDS = 60.0  # an import of TensorFlow from a cold disk takes half of it


@dataclass(frozen=True)
class Answer:
    """What a command printed; `failure` says how it ended, None where it ended well, `signal`
    which one ended it.
    """

    out: str = ""
    err: str = ""
    failure: str | None = None
    signal: int | None = None


class Probes:
    """Runs commands, from any thread; leaving the context ends those that still run, with all
    that they have started.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._running: set[subprocess.Popen[str]] = set()
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over = True
        for process in list(self._running):
            _kill(process)

    def ask(self, command: Sequence[str], environment: Mapping[str, str]) -> Answer:
        """Run a command to its end, or until the deadline."""
        if self._is_over:
            return Answer(failure="was not asked: the doctor was stopped")
        try:
            process = _start(command, environment)
        except OSError as refusal:
            return Answer(failure=f"cannot be started: {refusal.strerror}")
        with process:
            return self._answer(process)

    def _answer(self, process: subprocess.Popen[str]) -> Answer:
        self._running.add(process)
        if self._is_over:  # it was stopped after this process had begun, and before it was known
            _kill(process)
        try:
            return _answer(process, *process.communicate(timeout=self._seconds))
        except subprocess.TimeoutExpired:
            _kill(process)
            return Answer(failure=f"gave no answer in {self._seconds:g} s")
        finally:
            self._running.discard(process)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # so that what it has started can be ended with it
    )


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _answer(process: subprocess.Popen[str], out: str, err: str) -> Answer:
    code = process.returncode
    if code == 0:
        return Answer(out, err)
    if code < 0:
        return Answer(
            out,
            err,
            _with_last_line(f"was killed by signal {-code} ({signal.Signals(-code).name})", err),
            -code,
        )
    return Answer(out, err, _with_last_line(f"ended with exit code {code}", err or out))


def _with_last_line(ending: str, text: str) -> str:
    """How it ended and why: the last line that is not a frame of a stack."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line[0].isspace()]
    return f"{ending}: {lines[-1]}" if lines else ending
