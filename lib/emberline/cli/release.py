"""What people see of a release: by which gates it came, and what is in it."""

from rich.console import Console

from emberline.cli.console import make_table, printable, say
from emberline.cli.outcomes import counted
from emberline.datasets.released import Release


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
    counts = ", ".join(counted(name, rows) for name, rows in release.rows.items())
    say(
        console,
        f"Release {release.release} is current, of {release.published} from {release.source}:"
        f" {counts}",
    )
    say(console, f"Before it: {release.previous or 'nothing'}")
