"""`emberline open`: a root's report, in a browser."""

import typer

from emberline import logs
from emberline.cli.options import RootFolder
from emberline.datasets import storage
from emberline.report import open as report


def open_(root: RootFolder) -> None:
    """Print where a root's report is, and open it in a browser where there is a screen."""
    page = report.find(storage.locate(root))
    typer.echo(logs.one_line(page))
    report.show(page)
