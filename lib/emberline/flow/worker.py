"""A process that does a flow's tasks, one after the other, for the process that has started it.

It is asked and answers by pickles, through pipes that nobody else has: batches, an exception, or
None at a task's end. What it prints goes to standard error.
"""

import os
import pickle
import signal
import sys
import traceback
from typing import IO, Any

from emberline.errors import EmberlineError
from emberline.flow.processes import packed, unpacked
from emberline.launch.stop import signal_at_parents_end


def main() -> None:
    """Work until nobody asks any more."""
    signal_at_parents_end(signal.SIGKILL)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        try:
            task, batches = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            for batch in task(unpacked(batches)):
                _answer(answers, packed([batch]))
            _answer(answers, None)
        except Exception as error:
            if not isinstance(error, EmberlineError):
                error.add_note("".join(traceback.format_exception(error)))
            _answer(answers, error)


def _answer(answers: IO[bytes], answer: Any) -> None:
    pickle.dump(answer, answers)
    answers.flush()


if __name__ == "__main__":
    main()
