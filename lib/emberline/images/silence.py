"""Warnings silenced while any thread is at work: the switch is the process's."""

import warnings
from threading import Lock


class _Silence:
    """Entered by any number of threads at once: the first one silences, the last one ends it."""

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.__exit__(None, None, None)


WARNINGS_SILENCED = _Silence()
