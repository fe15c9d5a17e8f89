"""What people see while a pipeline runs: one line for each stage that ended."""

from rich.console import Console
from rich.status import Status as Spinner
from rich.text import Text

from emberline.cli.console import say
from emberline.cli.outcomes import written
from emberline.logs import one_line
from emberline.runs.plan import Decision
from emberline.runs.runner import Outcome


class Progress:
    """Listens to a run: a spinner for the stage at work where there is a terminal, and a line
    for each that ended.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Spinner | None = None
        self._label = ""

    def started(self, decision: Decision, position: int, total: int) -> None:
        if decision.action == "run":
            self._label = f"{_count(position, total)} {decision.stage.name} ..."
            self._status = self._console.status(Text(self._label))
            self._status.start()

    def progressed(self, text: str) -> None:
        """Show how far the stage at work is."""
        if self._status:
            self._status.update(Text(one_line(f"{self._label} {text}")))

    def finished(self, outcome: Outcome, position: int, total: int) -> None:
        self.stop()
        line = Text(f"{_count(position, total)} {outcome.stage.name:<18}")
        if outcome.action == "skip":
            self._console.print(
                line.append(" skipped", "dim").append(f": {one_line(outcome.reason)}", "dim")
            )
            return
        self._console.print(
            line.append(f" {outcome.seconds:6.1f} s  ").append(written(outcome)), end=""
        )
        say(self._console, f"  ({outcome.reason})", "dim")

    def stop(self) -> None:
        """Remove the spinner, also after a failure."""
        if self._status:
            self._status.stop()
            self._status = None


def _count(position: int, total: int) -> str:
    return f"[{position}/{total}]"
