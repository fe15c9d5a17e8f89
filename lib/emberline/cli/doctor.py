"""`emberline doctor`: what on a machine is in the way of a run."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol

import typer
from rich.console import Console
from rich.text import Text

from emberline.cli.console import COLOURS, make_console, make_table
from emberline.cli.options import Day, Root, Set, overrides_of
from emberline.doctor.examination import examine
from emberline.doctor.pipeline import read_target
from emberline.errors import ConfigError
from emberline.logs import one_line, public


def doctor(
    pipeline: Annotated[
        Path | None,
        typer.Argument(
            metavar="PIPELINE.toml",
            readable=False,
            help="What is to run; without it, the machine alone is looked at.",
        ),
    ] = None,
    root: Root = None,
    set_: Set = None,
    day: Day = None,
    style: Annotated[
        Literal["text", "json"], typer.Option("--format", help="text or json")
    ] = "text",
) -> None:
    """Say what on this machine is in the way of a run, and what to do about it."""
    if (set_ or day) and pipeline is None:
        raise ConfigError("--set and --date are for a pipeline: name its file, too")
    with make_console(stderr=True).status("starting Java, Spark and TensorFlow ..."):
        checks = examine(
            read_target(pipeline, root, overrides_of(root, set_), day and day.date()), os.environ
        )
    show_findings(make_console(), checks, style)
    if any(check.state == "error" for check in checks):
        raise typer.Exit(ConfigError.exit_code)


class Finding(Protocol):
    """A line of the doctor's table."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> Literal["ok", "warning", "error"]: ...
    @property
    def found(self) -> str: ...
    @property
    def remedy(self) -> str: ...


def show_findings(
    console: Console, findings: Sequence[Finding], style: Literal["text", "json"]
) -> None:
    """What the doctor looked at, what it found, what to do, and how many lines ask for
    something.
    """
    rows = [
        {
            "check": line.name,
            "state": line.state,
            "found": public(line.found),
            "remedy": public(line.remedy),
        }
        for line in findings
    ]
    if style == "json":
        console.out(json.dumps(rows, indent=1), highlight=False)
        return
    table = make_table("state", "check", "found", "what to do")
    for row in rows:
        cells = [Text(one_line(row[column])) for column in ("check", "found", "remedy")]
        table.add_row(Text(row["state"], COLOURS[row["state"]]), *cells)
    console.print(table)
    counts = {state: sum(row["state"] == state for row in rows) for state in COLOURS}
    console.print(
        f"ok {counts['ok']}, warnings {counts['warning']}, errors {counts['error']}:"
        f" {_verdict(counts)}"
    )


def _verdict(counts: dict[str, int]) -> str:
    if counts["error"]:
        return "a run will fail until the errors are dealt with"
    return (
        "a run will work, but see the warnings"
        if counts["warning"]
        else "nothing stands in the way of a run"
    )
