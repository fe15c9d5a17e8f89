"""`emberline plan`: which stages would run, and why."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from emberline.cli.console import make_console, make_table
from emberline.cli.options import Choice, of_stages
from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.logs import one_line, public
from emberline.runs import plan as plans
from emberline.runs.plan import Decision

Style = Annotated[Literal["text", "json"], typer.Option("--format", help="text or json")]


@of_stages
def plan(choice: Choice, style: Style = "text") -> None:
    """Say which stages would run, and why, without running them. (For cron, systemd or Airflow:
    emberline schedule.)
    """
    config, chosen = choice.load()
    root = storage.locate(config.root)
    show_plan(make_console(), plans.plan(config, root, chosen, choice.force), style, root)


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
