"""What people see when a pipeline has run: what ran, where its rows went, how good it is."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emberline import shipped
from emberline.cli.console import COLOURS, make_table, printable, say
from emberline.cli.metrics import named, show_metrics
from emberline.datasets.measures import reports_in
from emberline.datasets.schema import TABLES
from emberline.launch.memory import gib
from emberline.publish import trivial
from emberline.publish.trivial import Comparison
from emberline.report.privacy import sentences
from emberline.runs.runner import Outcome


def show_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """The summary: what ran, how the input rows are accounted for, and how good the
    recommendations are.
    """
    ran = [outcome for outcome in outcomes if outcome.action == "run"]
    if not ran:
        say(console, f"Nothing to do: all {len(outcomes)} stages are up to date.")
    else:
        console.print(_summary(outcomes))
    metrics: dict[str, Any] = {}
    for outcome in outcomes:
        metrics |= outcome.metrics
    if "accounts" in metrics:
        _show_accounts(console, metrics["accounts"], metrics["reasons"])
    for side, count in metrics.get("joined", {}).items():
        if count:
            say(
                console,
                f"Spellings of {side} that were joined with another one of the same id: {count:,}",
            )
    if told := _passed_over(ran):
        say(console, told)
    for sentence in sentences(metrics):
        say(console, sentence)
    reports = reports_in(metrics.get("reports", {}))
    for name, report in reports.items():
        show_metrics(console, named(report), report.metrics, name)
    for comparison in trivial.not_beaten(reports):
        console.print(Text(f"\n{_said(comparison)}", COLOURS["warning"]), soft_wrap=True)


def _passed_over(ran: Sequence[Outcome]) -> str:
    """Which files lay among those that were read and were not read themselves."""
    by_setting: dict[str, str] = {}
    for outcome in ran:
        by_setting |= outcome.metrics.get("passed_over", {})
    told = "; ".join(f"in {path}: {files}" for path, files in by_setting.items())
    return f"Files that were passed over {told}" if told else ""


def _said(compared: Comparison) -> str:
    is_by_error = compared.error is not None and not compared.test
    error = f" ±{compared.error:.4f}" if is_by_error else ""
    values = f"{compared.metric} {compared.value:.4f}{error} against {compared.trivial_value:.4f}"
    return (
        f"{compared.words}: {values}{compared.remark}; {shipped.page('lists.md')} says what helps"
    )


def _summary(outcomes: Sequence[Outcome]) -> Table:
    table = make_table("stage", "result", ">seconds", ">memory", "written")
    for outcome in outcomes:
        if outcome.action == "skip":
            table.add_row(outcome.stage.name, "up to date", "", "", "", style="dim")
        else:
            took = f"{outcome.seconds:.1f}", held(outcome.peak_bytes)
            table.add_row(outcome.stage.name, "done", *took, written(outcome))
    seconds = sum(outcome.seconds for outcome in outcomes)
    peak = max(outcome.peak_bytes or 0 for outcome in outcomes if outcome.action == "run")
    table.add_section()
    table.add_row("all stages", "", f"{seconds:.1f}", held(peak), "")
    return table


def held(peak_bytes: int | None) -> str:
    """Memory, where it is known."""
    return gib(peak_bytes) if peak_bytes else ""


def written(outcome: Outcome) -> str:
    """The datasets that were asked for, and their rows."""
    asked = {name: rows for name, rows in outcome.rows.items() if name not in outcome.unasked}
    return ", ".join(counted(name, rows) for name, rows in asked.items())


def counted(name: str, rows: int) -> str:
    """A dataset and its rows; files that are no tables have none to count."""
    return f"{name} {rows:,}" if rows else f"{name} (no rows)" if name in TABLES else name


def _show_accounts(console: Console, accounts: dict[str, int], reasons: dict[str, int]) -> None:
    parts = " + ".join(
        f"{accounts[name]:,} {name}"
        for name in ("kept", "merged", "rejected", "filtered", "forgotten")
        if name in accounts
    )
    console.print()
    say(console, f"Input rows: {accounts['read']:,} read = {parts}")
    for reason, count in reasons.items():
        console.print(Text(f"  {count:>11,}  ").append(printable(reason)))
