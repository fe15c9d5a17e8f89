"""What a command does is noted in MLflow, where the pipeline says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from emberline.cli.console import COLOURS, say
from emberline.sections.config import Config
from emberline.tracking.notes import Notes


@contextmanager
def noted(config: Config, name: str, console: Console) -> Iterator[Notes]:
    """Notes of this name, ended as the command ends; what goes wrong there is a warning."""
    notes = Notes(
        config.tracking, name, lambda told: say(console, f"warning: {told}", COLOURS["warning"])
    )
    try:
        yield notes
    except BaseException:
        notes.end(failed=True)
        raise
    notes.end()
