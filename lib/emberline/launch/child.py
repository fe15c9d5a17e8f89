"""A Python process that answers one request after the other, and never outlives the one that
started it.

Messages are lines of JSON: requests on the child's standard input, any number of messages for each
on its standard output, first of all Hello, then a Beat every second that says at what it is.
What the child or its libraries print goes to standard error.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO, Any, TextIO

from emberline.errors import WorkerError
from emberline.launch import memory
from emberline.launch.messages import (
    Beat,
    Ended,
    Failed,
    Hello,
    Line,
    Message,
    Request,
    Stop,
    message_of,
)
from emberline.launch.network import PrivateNetwork
from emberline.launch.sieve import sieve
from emberline.launch.stop import signal_at_parents_end

Inbox = SimpleQueue[tuple[Any, Message]]  # who says what
BEAT_SECONDS = 1.0
# TensorFlow says so at each import, before it has read TF_CPP_MIN_LOG_LEVEL.
NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR|"
    rb"I0000 .* port\.cc:\d+\] oneDNN custom operations are on\..*|"
    rb"INFO: Created TensorFlow Lite XNNPACK delegate for CPU\.|"
    rb"fully_quantize: \d+, inference_type: .*"
)
# for what a dead process has written last; a process that it has started may keep its pipes open
_DRAIN_SECONDS = 2.0


def _variables(changed: Mapping[str, str | None]) -> dict[str, str]:
    """This process's environment, with its module path and some changes; None leaves one out."""
    path = os.pathsep.join(path for path in sys.path if path)
    variables = {**os.environ, **changed, "PYTHONPATH": path}
    return {name: value for name, value in variables.items() if value is not None}


class Child:
    """Parent's side: the process starts at once, with this one's module path, in a process group of
    its own; `kill` ends it.

    Its messages go to the inbox, the last one being Ended. With `capture`, so do the lines that it
    writes to standard error, each as a Line; else they go where this process's go. A
    variable that `environment` maps to None is left out. With a `network`, the process is in that
    one and in no other.
    """

    def __init__(
        self,
        module: str,
        inbox: Inbox,
        rank: int = 0,
        environment: Mapping[str, str | None] | None = None,
        capture: bool = False,
        network: PrivateNetwork | None = None,
    ) -> None:
        self.rank = rank
        self.host = socket.gethostname()
        self._inbox = inbox
        errors = subprocess.PIPE if capture else sieve(NOISE)
        command = [sys.executable, "-m", module]
        with _sigterm_blocked():
            self._process = subprocess.Popen(
                network.command(command) if network else command,
                pass_fds=network.descriptors if network else (),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_variables(environment or {}),
                process_group=0,
            )
        if not capture:
            os.close(errors)
        self.pid = self._process.pid
        self._listen()

    def _listen(self) -> None:
        """Have what it says, and how it ends, put into the inbox."""
        streams = [(self._relay_messages, self._process.stdout)]
        if self._process.stderr:
            streams.append((self._relay_lines, self._process.stderr))
        readers = [
            threading.Thread(target=relay, args=(stream,), daemon=True) for relay, stream in streams
        ]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._announce_end, args=(readers,), daemon=True).start()

    def send(self, message: Message) -> None:
        """Nothing happens where the process has ended: the inbox says so."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(message.to_line())
            self._process.stdin.flush()

    def kill(self) -> None:
        """End the process and those of its group, at once: it has nothing to save that it was
        not asked for.
        """
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # of a message that it has not read
            self._process.stdin.close()

    def _relay_messages(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                if line.endswith(b"\n"):  # else the process was ended in the middle of it
                    self._inbox.put((self, understood(line)))

    def _relay_lines(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                if NOISE.fullmatch(line.rstrip(b"\n")):
                    continue
                self._inbox.put((self, Line(line.decode(errors="replace").rstrip())))

    def _announce_end(self, readers: list[threading.Thread]) -> None:
        code = self._process.wait()
        until = time.monotonic() + _DRAIN_SECONDS
        for reader in readers:
            reader.join(max(0.0, until - time.monotonic()))
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._inbox.put((self, Ended(ended, memory.describe() if code == -signal.SIGKILL else "")))


class Requests:
    """Child's side: iterate over the requests, `send` messages. The process exits when the parent
    has gone, whatever it does.

    SIGTERM, or Stop from the parent, ends nothing: whoever works asks `stopping`, and
    saves.
    """

    def __init__(self) -> None:
        self._answers = _take_over_stdout()
        self._writing = threading.Lock()
        self._requests: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        self._is_to_stop = False
        self._place: tuple[str, int] = ("", 0)
        signal_at_parents_end(signal.SIGKILL)  # even if this process is stopped then
        self.send(Hello(os.getpid(), socket.gethostname()))
        for work in (self._watch, self._beat, self._await_sigterm):
            threading.Thread(target=work, daemon=True).start()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._requests)
                request = self._requests.pop(0)
            yield request

    def send(self, message: Message) -> None:
        line = message.to_line().decode()
        with self._writing:
            self._answers.write(line)
            self._answers.flush()

    def at(self, phase: str, step: int) -> None:
        """Say what the process does now, for the next beat; costs next to nothing."""
        self._place = (phase, step)

    def stopping(self) -> bool:
        """Whether the process has been asked to save and end."""
        return self._is_to_stop

    def _stop(self) -> None:
        self._is_to_stop = True

    def _await_sigterm(self) -> None:
        while signal.sigwait({signal.SIGTERM}):
            self._stop()

    def _watch(self) -> None:
        for line in sys.stdin:
            message = understood(line)
            if isinstance(message, Stop):
                self._stop()
            elif isinstance(message, Request):
                with self._arrived:
                    self._requests.append(message.content)
                    self._arrived.notify()
            elif isinstance(message, Failed):
                self.send(message)
        os._exit(1)  # the parent has gone; a framework's threads must not keep this process alive

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            phase, step = self._place
            self.send(Beat(phase, step))


@contextmanager
def _sigterm_blocked() -> Iterator[None]:
    """What is started now blocks SIGTERM in all of its threads, so that one of them can wait for
    it.

    A handler is not enough: TensorFlow puts its own in its place when it makes a
    MultiWorkerMirroredStrategy.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _take_over_stdout() -> TextIO:
    """A file for messages alone; from now on what is printed goes to standard error."""
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return messages


def understood(line: bytes | str) -> Message:
    """The message in a line; where it is none of ours, that it is so is the message."""
    try:
        return message_of(line)
    except WorkerError as error:
        return Failed.of(error)
