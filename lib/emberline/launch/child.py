"""A Python process that answers one request after the other, and never outlives the one that started it.

Messages are lines of JSON: requests on the child's standard input, any number of messages for each on its standard output. What
the child or its libraries print goes to standard error.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from emberline.errors import EmberlineError

Message = dict[str, Any]


class ChildDiedError(Exception):
    """The process ended without an answer, having said on standard error why."""


class ChildKilledError(ChildDiedError):
    """A signal ended the process; the message says which."""


class Child:
    """Parent's side. The process starts at once, with this one's module path, and ends with `close`."""

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, **(environment or {}), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )

    def ask(self, request: Message) -> Iterator[Message]:
        """The messages that answer a request, up to and with the first one that has the key `done`. Raises ChildDiedError."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ending() from None
        for line in self._process.stdout:
            if not line.endswith("\n"):
                break  # the process was ended in the middle of a message
            message = json.loads(line)
            yield message
            if "done" in message:
                return
        raise self._ending()

    def close(self) -> None:
        """End the process, at once: it has nothing to save that it was not asked for."""
        self._process.kill()
        self._process.communicate()

    def _ending(self) -> ChildDiedError:
        code = self._process.wait()
        if code < 0:
            return ChildKilledError(f"was killed by signal {-code}")
        return ChildDiedError(f"the process ended with exit code {code}")


class Requests:
    """Child's side: iterate over the requests, `send` messages. The process exits when the parent has gone, whatever it does."""

    def __init__(self) -> None:
        self._answers = _take_over_stdout()
        self._lines: list[Message] = []
        self._arrived = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    def __iter__(self) -> Iterator[Message]:
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._lines)
                request = self._lines.pop(0)
            yield request

    def send(self, **message: Any) -> None:
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()

    def _watch(self) -> None:
        for line in sys.stdin:
            with self._arrived:
                self._lines.append(json.loads(line))
                self._arrived.notify()
        os._exit(1)  # the parent has gone; a framework's threads must not keep this process alive


def _take_over_stdout() -> TextIO:
    """A file for messages alone; from now on what is printed goes to standard error."""
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return messages


def error_message(error: EmberlineError) -> Message:
    """An error as it travels between processes."""
    return {"kind": type(error).__name__, "text": str(error)}


def error_of(message: Message) -> EmberlineError:
    """The error that `error_message` described."""
    kinds = {kind.__name__: kind for kind in _kinds(EmberlineError)}
    return kinds[message["kind"]](message["text"])


def _kinds(kind: type[EmberlineError]) -> Iterator[type[EmberlineError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
