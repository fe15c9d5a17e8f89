"""Items made by a thread before they are asked for, a bounded number of them."""

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_PATIENCE = 0.1  # seconds between two looks at whether anybody still waits


class _End:
    """What the thread puts last: with the exception that ended it, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Ahead(Generic[T]):
    """Iterates over what a thread, which starts at once, takes from an iterator; its exceptions are
    raised here.

    Close it, or use it up: until then it holds the thread and up to `count` items.
    """

    def __init__(self, items: Iterator[T], count: int) -> None:
        self._ready: queue.Queue[T | _End] = queue.Queue(count)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._produce, args=(items,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._stopped.is_set():
            raise StopIteration
        item = self._ready.get()
        if not isinstance(item, _End):
            return item
        self.close()
        if item.error is not None:
            raise item.error
        raise StopIteration

    def close(self) -> None:
        """End the thread, and wait for it."""
        self._stopped.set()
        self._thread.join()

    def _produce(self, items: Iterator[T]) -> None:
        error = None
        try:
            for item in items:
                self._offer(item)
                if self._stopped.is_set():
                    break
        except BaseException as caught:
            error = caught
        finally:
            if hasattr(items, "close"):
                items.close()
            self._offer(_End(error))

    def _offer(self, item: T | _End) -> None:
        while not self._stopped.is_set():
            try:
                return self._ready.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
