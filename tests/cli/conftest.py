"""What the tests of the command share: several commands in one process, whose start is what takes
time.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

Several = Callable[..., "subprocess.CompletedProcess[bytes]"]
# runs the commands between the words `then`, one after the other, and prints how each ended
PROGRAM = """
import os, sys
from emberline.cli.main import main
words = sys.argv[1:]
while words:
    end = words.index("then") if "then" in words else len(words)
    sys.argv, words = ["emberline", *words[:end]], words[end + 1 :]
    try:
        main()
    except SystemExit as ended:
        print("ended with", ended.code or 0, flush=True)
"""


@pytest.fixture
def several() -> Several:
    """`several(commands, *before, **variables)` runs them in a Python of their own, which the words
    `before` start, with these variables in its environment.
    """

    def run_commands(
        commands: Sequence[Sequence[object]], *before: str, **variables: str
    ) -> "subprocess.CompletedProcess[bytes]":
        words: list[bytes | str] = []
        for command in commands:
            words += [word if isinstance(word, bytes) else str(word) for word in command] + ["then"]
        return subprocess.run(
            [*before, sys.executable, "-c", PROGRAM, *words[:-1]],
            capture_output=True,
            timeout=120,
            env={**os.environ, **variables},
        )

    return run_commands
