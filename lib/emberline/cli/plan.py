"""`emberline plan`: which stages would run, and why."""

import json
from collections.abc import Sequence
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from emberline import stages
from emberline.cli.console import make_console, make_table
from emberline.cli.options import Day, Force, From, Only, Pipeline, Root, Set, load
from emberline.datasets import storage
from emberline.logs import one_line
from emberline.runs import plan as plans
from emberline.runs.plan import Decision

Style = Annotated[Literal["text", "json"], typer.Option("--format", help="text or json")]


def plan(
    pipeline: Pipeline,
    root: Root = None,
    set_: Set = None,
    day: Day = None,
    only: Only = None,
    from_: From = None,
    force: Force = False,
    style: Style = "text",
) -> None:
    """Say which stages would run, and why, without running them. (For cron, systemd or Airflow:
    emberline schedule.)
    """
    config = load(pipeline, root, set_, day)
    decisions = plans.plan(
        config, storage.locate(config.root), stages.select(config, only, from_), force
    )
    show_plan(make_console(), decisions, style)


def show_plan(
    console: Console, decisions: Sequence[Decision], style: Literal["text", "json"]
) -> None:
    """What would run, and why."""
    rows = [{"stage": d.stage.name, "action": d.action, "reason": d.reason} for d in decisions]
    if style == "json":
        console.out(json.dumps(rows, indent=1), highlight=False)
        return
    table = make_table("stage", "action", "reason")
    for row in rows:
        cells = [Text(one_line(cell)) for cell in row.values()]
        table.add_row(*cells, style="dim" if row["action"] == "skip" else None)
    console.print(table)
