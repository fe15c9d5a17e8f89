"""`emberline evaluate`: a pipeline measured on several folds of its data."""

from typing import Annotated

import typer
from rich.console import Console

from emberline import pipelines
from emberline.cli.console import make_console, make_table, printable, say
from emberline.cli.options import File, of_a_file
from emberline.cli.progress import Progress
from emberline.datasets import storage
from emberline.errors import ConfigError
from emberline.folds import ways
from emberline.folds.crossing import Folds, cross
from emberline.folds.result import FILE, TABLE, Result, Row
from emberline.folds.ways import WAYS

Count = Annotated[int, typer.Option("--folds", min=2, help="Into how many folds data are cut.")]
Of = Annotated[
    str | None,
    typer.Option(
        "--of", help=f"What folds are of: {', '.join(WAYS)}; else as the holdout is chosen."
    ),
]
Days = Annotated[
    float | None, typer.Option(help="How long a fold in time is; else split.last_days.")
]
Folder = Annotated[
    str | None, typer.Option("--to", metavar="DIR", help="Where folds go; ROOT-folds.")
]


@of_a_file
def evaluate(
    file: File,
    context: typer.Context,
    folds: Count = 5,
    of: Of = None,
    days: Days = None,
    to: Folder = None,
) -> None:
    """Measure a pipeline on folds of its data, each of which is withheld in turn."""
    content = file.content()
    config = pipelines.config_of(content, file.name)
    chosen = next((way for way in WAYS if way == of), None) if of else ways.usual(config)
    if chosen is None:
        raise ConfigError(f"--of {of}: folds are of {', '.join(WAYS)}")
    folder = storage.locate(to or f"{content['root']}-folds")
    console = make_console()
    progress = Progress(console)
    try:
        wanted = Folds(file.name, content, folds, chosen, days)
        found = cross(wanted, folder, progress, context.obj)
    finally:
        progress.stop()
    _show(console, found)
    say(console, f"Folds: {folder / FILE}, {folder / TABLE}")


def _show(console: Console, found: Result) -> None:
    """For each report a table, folds side by side."""
    for report in dict.fromkeys(row.report for row in found.rows):
        rows = [row for row in found.rows if row.report == report]
        numbers = [f">fold {number}" for number in range(1, found.folds + 1)]
        table = make_table("model", "metric", ">mean", ">spread", *numbers)
        for row in rows:
            table.add_row(printable(row.model), row.metric, *_cells(row))
        console.print()
        say(
            console,
            f"Measured on {report}, {found.folds} folds of {found.of}; the spread is the"
            " standard deviation over folds",
        )
        console.print(table)


def _cells(row: Row) -> list[str]:
    numbers = [row.mean, row.deviation, *row.values]
    return ["" if number is None else f"{number:.4f}" for number in numbers]
