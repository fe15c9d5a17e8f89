"""The entry point of the `emberline` command.

Its own imports take no time: a signal that comes while all others are imported ends the command in
one line, too.
"""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line; an error that has a message ends in one line and its exit code."""
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        from emberline.cli.app import run_app  # which imports all that commands need

        run_app()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    """Nothing has begun yet, and nothing is to be saved."""
    os.write(2, b"emberline: error: stopped; run it again\n")
    os._exit(75)  # launch.stop.EXIT_CODE, which is not imported yet
