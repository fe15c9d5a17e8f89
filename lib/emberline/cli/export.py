"""`emberline export`: a table as one file for other programs."""

from typing import Annotated, Literal

import typer

from emberline.cli.options import RootOrRelease
from emberline.datasets import released, storage
from emberline.export import table as tables


def export(
    root: RootOrRelease,
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="The table's name, such as recommendations.")
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="A name that ends in .csv, .jsonl or .parquet; - is standard output.",
        ),
    ],
    style: Annotated[
        Literal["csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="Else by the file's name."),
    ] = None,
    spreadsheet: Annotated[
        bool,
        typer.Option(
            "--spreadsheet", help="CSV: put ' before texts that a spreadsheet takes for a formula."
        ),
    ] = False,
) -> None:
    """Write a table of a root, or of a release, to one file that other programs read, with
    outside ids and titles.
    """
    count = tables.export(
        released.current_root(storage.locate(root)), table, to, style, spreadsheet
    )
    if to != tables.STDOUT:
        typer.echo(f"{to}: {count:,} rows of {table}")
