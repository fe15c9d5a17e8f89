"""SIGTERM, as a scheduler or a cluster sends it before it takes the machine away: a wish to save, and to end soon.

Under spark-submit it is the JVM that gets it, and ends without a word to the Python that it has started: that end is a wish, too.
"""

import ctypes
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 75  # as errors.Preempted: run it again
_PR_SET_PDEATHSIG = 1


def signal_at_parents_end(number: signal.Signals) -> None:
    """Where the kernel can (Linux), it sends the signal when the thread that started this process ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


class Stop:
    """Whether this process is to end. The signal interrupts it, unless somebody saves first; a second one does in any case."""

    def __init__(self) -> None:
        self.requested = False
        self._somebody_saves = False

    def listen(self, parent: bool = False) -> None:
        """From now on SIGTERM is a wish, and with `parent` the end of that; to be called in the main thread."""
        signal.signal(signal.SIGTERM, self._arrived)
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
        if not (is_first and self._somebody_saves):
            raise SystemExit(EXIT_CODE)  # no Exception: whoever catches all errors, as py4j does, must not keep it

    def _parent_ended(self, number: int, frame: FrameType | None) -> None:
        """Said by the kernel as often as one of the parent's threads ends, even while this runs; counts once."""
        is_first, self.requested = not self.requested, True
        if is_first and not self._somebody_saves:
            raise SystemExit(EXIT_CODE)
