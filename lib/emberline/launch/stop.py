"""SIGTERM, as a scheduler or a cluster sends it before it takes the machine away: a wish to save, and to end soon."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 75  # as errors.Preempted: run it again


class Stop:
    """Whether this process is to end. The signal interrupts it, unless somebody saves first; a second one does in any case."""

    def __init__(self) -> None:
        self.requested = False
        self._somebody_saves = False

    def listen(self) -> None:
        """From now on SIGTERM is a wish; to be called in the main thread."""
        signal.signal(signal.SIGTERM, self._arrived)

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
