"""`emberline init`: a pipeline for one's own files."""

from pathlib import Path
from typing import Annotated

import typer

from emberline.cli.console import make_console
from emberline.init import pipeline
from emberline.logs import one_line

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES...",
        readable=False,
        help="A log of who liked what (a file, a folder or a glob in quotes), tables, pictures, "
        "sounds.",
    ),
]
To = Annotated[
    Path,
    typer.Option(
        metavar="FILE", readable=False, help="The pipeline file to write; one that is there stays."
    ),
]


def init(files: Files, to: To = Path("pipeline.toml")) -> None:
    """Write a pipeline for your files, from a look at their first rows."""
    written = pipeline.write(files, to)
    console = make_console()
    console.print(f"wrote {to}, from", highlight=False, markup=False)
    for group, title in ((written.found, ""), (written.doubts, "\nPlease check:")):
        if title:
            console.print(title)
        for text in group:
            console.print(f"  {one_line(text)}", soft_wrap=True, markup=False)
    for finding in written.findings:
        console.print(f"  {one_line(finding.message)}", soft_wrap=True, markup=False)
    console.print(f"\nThen: emberline plan {to}; emberline run {to}", markup=False, highlight=False)
