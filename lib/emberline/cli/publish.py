"""`emberline publish`: the tables that are served, copied if every gate holds."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from emberline import logs
from emberline.cli.console import make_console, make_table, printable, say
from emberline.cli.options import Day, Set, load
from emberline.datasets import storage
from emberline.errors import ConfigError
from emberline.publish import gates, releases
from emberline.publish.releases import Release
from emberline.sections.publish import PublishConfig


def publish(
    root: Annotated[
        str | None, typer.Argument(metavar="ROOT", help="The pipeline's root, such as runs/demo.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the serving system reads.")
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE", help="'ndcg@10 >= 0.9 * previous', 'rows.recommendations > 1000', ..."
        ),
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This table; else all that are served.")
    ] = None,
    pipeline: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="PIPELINE.toml", help="Whose [publish] has what is not given here."
        ),
    ] = None,
    set_: Set = None,
    day: Day = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Releases to keep, the new one included (3).")
    ] = None,
    new_baseline: Annotated[
        bool, typer.Option("--new-baseline", help="Compare with no previous release.")
    ] = False,
    default_gates: Annotated[
        bool | None,
        typer.Option(
            "--default-gates/--no-default-gates",
            help="Refuse a model that loses to a trivial answer (yes).",
        ),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the release before the current one.")
    ] = False,
) -> None:
    """Copy the tables that a serving system reads, checked, in one step, and only if every gate
    holds.
    """
    logs.configure("WARNING")
    config = load(pipeline, root, set_, day) if pipeline else None
    settings, source = (config.publish, config.root) if config else (PublishConfig(), root)
    if (root if rollback else source is None) or not (to or settings.to) or (set_ and not config):
        raise ConfigError(
            "give ROOT --to DIR to publish, --rollback --to DIR to go back (or --config with a"
            " publish.to; it also has a root)"
        )
    folder = storage.locate(to or str(settings.to))
    if rollback or source is None:
        release, is_new = releases.rollback(folder), True
    else:
        conditions = [gates.parse(text) for text in gate or settings.gates]
        tables, kept = table or settings.tables, keep or settings.keep
        strict = settings.default_gates if default_gates is None else default_gates
        release, is_new = releases.publish(
            storage.locate(source), folder, tables, conditions, kept, new_baseline, strict
        )
    show_release(make_console(), release, is_new)


def show_release(console: Console, release: Release, is_new: bool) -> None:
    """What is published, and by which gates it came."""
    if not is_new:
        say(console, f"Nothing to do: release {release.release} has these tables already.")
        return
    if release.gates:
        table = make_table("gate", ">found", ">limit", "")
        for verdict in release.gates:
            limit = "" if verdict.limit is None else f"{verdict.limit:.6g}"
            table.add_row(
                printable(verdict.gate),
                f"{verdict.value:.6g}",
                limit,
                printable(verdict.reason or "holds"),
            )
        console.print(table)
    counts = ", ".join(f"{name} {rows:,}" for name, rows in release.rows.items())
    say(
        console,
        f"Release {release.release} is current, of {release.published} from {release.source}:"
        f" {counts}",
    )
    say(console, f"Before it: {release.previous or 'nothing'}")
