"""What people see while a dataset is downloaded."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as ProgressBar

from emberline.cli.console import say


class FetchProgress:
    """Listens to a fetch: a bar for the file that is coming where there is a terminal, else a
    line every few seconds.
    """

    _EVERY = 10.0  # seconds between two lines

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: ProgressBar | None = None
        self._name = ""
        self._first, self._started, self._shown = 0, 0.0, 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        say(self._console, text)

    def progressed(self, name: str, done: int, total: int) -> None:
        """Show how much of a file is here, in bytes, and at which rate it comes."""
        now = time.monotonic()
        if name != self._name or done < self._first:
            self._begin(name, done, total, now)
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=done)
        if done == total:
            self.stop()
        elif self._bar or now < self._shown + self._EVERY:
            return
        self._shown = now
        self.say(f"{name}: {done:,} of {total:,} bytes, {self._rate(done, now)}")

    def _begin(self, name: str, done: int, total: int, now: float) -> None:
        self.stop()
        self._name, self._first, self._started, self._shown = name, done, now, now
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            )
            self._bar = ProgressBar(*columns, console=self._console, transient=True)
            self._bar.add_task(name, total=total, completed=done)
            self._bar.start()

    def _rate(self, done: int, now: float) -> str:
        return f"{(done - self._first) / max(now - self._started, 0.001) / 1e6:.1f} MB/s"

    def stop(self) -> None:
        """Remove the bar, also after a failure."""
        if self._bar:
            self._bar.stop()
            self._bar = None
