"""SIGTERM, as a scheduler or a cluster sends it before it takes the machine away, and Ctrl-C: a
wish to save, and to end soon.

Under spark-submit it is the JVM that gets it, and ends without a word to the Python that it has
started: that end is a wish, too.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 75  # as errors.Preempted: run it again
_PR_SET_PDEATHSIG = 1


def signal_at_parents_end(number: signal.Signals) -> None:
    """Where the kernel can (Linux), it sends the signal when the thread that started this
    process ends, however that happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


@contextmanager
def handler_kept(number: signal.Signals) -> Iterator[None]:
    """What is called here may put its own handler of a signal in the place of ours: ours comes
    back.
    """
    before = signal.getsignal(number)
    try:
        yield
    finally:
        if before not in (signal.SIG_DFL, signal.default_int_handler, signal.getsignal(number)):
            signal.signal(number, before)


class Stop:
    """Whether this process is to end. The signal interrupts it, unless somebody saves first; a
    second one does in any case.

    Ctrl-C once more, when it has interrupted, ends the process where it is.
    """

    def __init__(self) -> None:
        self.requested = False
        self._somebody_saves = False
        self._has_interrupted = False

    def listen(self, parent: bool = False) -> None:
        """From now on SIGTERM and SIGINT are a wish, and with `parent` the end of that; to be
        called in the main thread.
        """
        signal.signal(signal.SIGTERM, self._arrived)
        signal.signal(signal.SIGINT, self._arrived)
        if parent:
            signal.signal(signal.SIGHUP, self._parent_ended)
            signal_at_parents_end(signal.SIGHUP)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Who works in this context looks at `requested`, saves, and ends by himself."""
        self._somebody_saves = True
        try:
            yield
        finally:
            self._somebody_saves = False

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        is_first, self.requested = not self.requested, True
        if is_first and self._somebody_saves:
            return
        if self._has_interrupted and number == signal.SIGINT:
            os.write(2, b"emberline: error: ended at once; run it again\n")
            os._exit(EXIT_CODE)
        self._has_interrupted = True
        # no Exception: whoever catches all errors, as py4j does, must not keep it
        raise SystemExit(EXIT_CODE)

    def _parent_ended(self, number: int, frame: FrameType | None) -> None:
        """Said by the kernel as often as one of the parent's threads ends, even while this
        runs; counts once.
        """
        is_first, self.requested = not self.requested, True
        if is_first and not self._somebody_saves:
            raise SystemExit(EXIT_CODE)
