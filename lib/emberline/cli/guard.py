"""How a command ends: in an exit code, and one line where it has a message."""

import io
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from emberline import logs
from emberline.cli.console import make_console, say
from emberline.datasets import disk
from emberline.errors import EmberlineError
from emberline.launch.stop import EXIT_CODE, Stop


def guard(command: typer.Typer, parent: bool = False) -> None:
    """Run a command, with a Stop in its context; what ends it, but for bugs, is one line and an
    exit code.
    """
    _write_any_text()
    with _heeded(parent) as stop:
        try:
            command(obj=stop)
        except EmberlineError as error:
            _fail(logs.public(error), error.exit_code)
        except SystemExit as ended:
            if stop.requested and ended.code == EXIT_CODE:
                _fail("stopped; run it again", EXIT_CODE)
            raise
        except Exception as error:  # a bug: its traceback, in which libraries may quote settings
            if refused := disk.refusal(error):
                _fail(logs.public(refused), refused.exit_code)
            sys.stderr.write(logs.public(traceback.format_exc()))
            sys.exit(1)


def _write_any_text() -> None:
    """What the console's encoding does not have is written as an escape, and so are bytes of a
    command line that are no text.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _heeded(parent: bool) -> Iterator[Stop]:
    """A Stop that has the signals while a command is at work."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop.listen(parent)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(message: str, code: int) -> NoReturn:
    say(make_console(stderr=True), f"emberline: error: {message}")
    sys.exit(code)
