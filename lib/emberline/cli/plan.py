"""`emberline plan`: which stages would run, and why."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from emberline import stages
from emberline.cli.console import make_console, make_table
from emberline.cli.options import Base, Day, Force, From, Only, Pipeline, Root, Set, load
from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.logs import one_line, public
from emberline.runs import plan as plans
from emberline.runs.plan import Decision

Style = Annotated[Literal["text", "json"], typer.Option("--format", help="text or json")]


def plan(
    pipeline: Pipeline,
    root: Root = None,
    base: Base = None,
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
    config = load(pipeline, root, set_, day, base)
    decisions = plans.plan(
        config, storage.locate(config.root), stages.select(config, only, from_), force
    )
    show_plan(make_console(), decisions, style, storage.locate(config.root))


def show_plan(
    console: Console, decisions: Sequence[Decision], style: Literal["text", "json"], root: Location
) -> None:
    """What would run, and why, and where its inputs are; in the table, those of a base."""
    if style == "json":
        console.out(
            json.dumps([_row(decision) for decision in decisions], indent=1), highlight=False
        )
        return
    read = [_read_elsewhere(decision, root) for decision in decisions]
    table = make_table("stage", "action", "reason", *(["reads from the base"] if any(read) else []))
    for decision, names in zip(decisions, read, strict=True):
        texts = (decision.stage.name, decision.action, decision.reason)
        cells = [Text(one_line(text)) for text in (*texts, *([names] if any(read) else []))]
        table.add_row(*cells, style="dim" if decision.action == "skip" else None)
    console.print(table)


def _row(decision: Decision) -> dict[str, Any]:
    return {
        "stage": decision.stage.name,
        "action": decision.action,
        "reason": decision.reason,
        "inputs": {name: public(place) for name, place in decision.places.items()},
    }


def _read_elsewhere(decision: Decision, root: Location) -> str:
    """The names of the inputs that are in another root than this one."""
    return ", ".join(name for name, place in decision.places.items() if place != root)
