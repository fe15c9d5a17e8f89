"""What the command line shows people: one line per stage while a pipeline runs, and tables at its
end.

Text that comes from data is shown with its control characters escaped, so that a title cannot write
to the terminal.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal, Protocol

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as ProgressBar
from rich.status import Status as Spinner
from rich.table import Table
from rich.text import Text

from emberline import shipped
from emberline.datasets.lookup import Recommendation
from emberline.datasets.manifest import Dataset, Manifest
from emberline.datasets.measures import UNITS
from emberline.datasets.schema import TABLES
from emberline.errors import EmberlineError
from emberline.logs import one_line, public
from emberline.publish import trivial
from emberline.publish.releases import Release
from emberline.publish.trivial import Loss
from emberline.runs.plan import Decision
from emberline.runs.runner import Outcome
from emberline.runs.status import Status

# of tables that go to a file or another program, where there is no terminal to ask
_PIPE_WIDTH = 130
_LONGEST_CELL = 60
_FALLBACK = "answered by biases"  # how often, where a model that predicts ratings has no answer
_COLOURS = {"ok": "green", "warning": "yellow", "error": "bold red"}


def make_console(stderr: bool = False) -> Console:
    """A console as wide as the terminal, which takes no text for markup."""
    plain = partial(Console, stderr=stderr, highlight=False, markup=False, emoji=False)
    console = plain()
    return console if console.is_terminal else plain(width=_PIPE_WIDTH)


def say(console: Console, text: Any, style: str = "") -> None:
    """Print a line, whatever is in it: no line breaks, no control characters, no markup."""
    console.print(Text(one_line(text), style), soft_wrap=True)


def printable(value: Any) -> Text:
    """A value from data for a table's cell: on one line, cut where it is very long, and no
    markup.
    """
    text = one_line(value)
    return Text(text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 3] + "...")


class Progress:
    """Listens to a run: a spinner for the stage at work where there is a terminal, and a line
    for each that ended.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Spinner | None = None
        self._label = ""

    def started(self, decision: Decision, position: int, total: int) -> None:
        if decision.action == "run":
            self._label = f"{_count(position, total)} {decision.stage.name} ..."
            self._status = self._console.status(Text(self._label))
            self._status.start()

    def progressed(self, text: str) -> None:
        """Show how far the stage at work is."""
        if self._status:
            self._status.update(Text(one_line(f"{self._label} {text}")))

    def finished(self, outcome: Outcome, position: int, total: int) -> None:
        self.stop()
        line = Text(f"{_count(position, total)} {outcome.stage.name:<16}")
        if outcome.action == "skip":
            self._console.print(
                line.append(" skipped", "dim").append(f": {one_line(outcome.reason)}", "dim")
            )
            return
        self._console.print(
            line.append(f" {outcome.seconds:6.1f} s  ").append(_rows(outcome)), end=""
        )
        say(self._console, f"  ({outcome.reason})", "dim")

    def stop(self) -> None:
        """Remove the spinner, also after a failure."""
        if self._status:
            self._status.stop()
            self._status = None


class FetchProgress:
    """Listens to a fetch: a bar for the file that is coming where there is a terminal, else a
    line every few seconds.
    """

    _EVERY = 10.0  # seconds between two lines

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: ProgressBar | None = None
        self._name = ""
        self._first, self._started, self._shown = 0, 0.0, 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        say(self._console, text)

    def progressed(self, name: str, done: int, total: int) -> None:
        """Show how much of a file is here, in bytes, and at which rate it comes."""
        now = time.monotonic()
        if name != self._name or done < self._first:
            self._begin(name, done, total, now)
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=done)
        if done == total:
            self.stop()
        elif self._bar or now < self._shown + self._EVERY:
            return
        self._shown = now
        self.say(f"{name}: {done:,} of {total:,} bytes, {self._rate(done, now)}")

    def _begin(self, name: str, done: int, total: int, now: float) -> None:
        self.stop()
        self._name, self._first, self._started, self._shown = name, done, now, now
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            )
            self._bar = ProgressBar(*columns, console=self._console, transient=True)
            self._bar.add_task(name, total=total, completed=done)
            self._bar.start()

    def _rate(self, done: int, now: float) -> str:
        return f"{(done - self._first) / max(now - self._started, 0.001) / 1e6:.1f} MB/s"

    def stop(self) -> None:
        """Remove the bar, also after a failure."""
        if self._bar:
            self._bar.stop()
            self._bar = None


def _count(position: int, total: int) -> str:
    return f"[{position}/{total}]"


def _rows(outcome: Outcome) -> str:
    return ", ".join(_counted(name, rows) for name, rows in outcome.rows.items())


def _counted(name: str, rows: int) -> str:
    """A dataset and its rows; files that are no tables have none to count."""
    return f"{name} {rows:,}" if rows else f"{name} (no rows)" if name in TABLES else name


def show_plan(
    console: Console, decisions: Sequence[Decision], style: Literal["text", "json"]
) -> None:
    """What would run, and why."""
    rows = [{"stage": d.stage.name, "action": d.action, "reason": d.reason} for d in decisions]
    if style == "json":
        console.out(json.dumps(rows, indent=1), highlight=False)
        return
    table = _table("stage", "action", "reason")
    for row in rows:
        cells = [Text(one_line(cell)) for cell in row.values()]
        table.add_row(*cells, style="dim" if row["action"] == "skip" else None)
    console.print(table)


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
    for report in metrics.get("reports", {}).values():
        _show_metrics(console, _named(report), report["metrics"])
    for loss in trivial.losses(metrics.get("reports", {})):
        console.print(Text(f"\n{_said(loss)}", _COLOURS["warning"]), soft_wrap=True)


def _said(loss: Loss) -> str:
    error = f" ±{loss.error:.4f}" if loss.error is not None else ""
    values = f"{loss.metric} {loss.value:.4f}{error} against {loss.trivial_value:.4f}"
    return (
        f"{loss.model} loses to {loss.trivial}: {values}; {shipped.page('lists.md')} says what"
        " helps"
    )


def _summary(outcomes: Sequence[Outcome]) -> Table:
    table = _table("stage", "result", ">seconds", "written")
    for outcome in outcomes:
        if outcome.action == "skip":
            table.add_row(outcome.stage.name, "up to date", "", "", style="dim")
        else:
            table.add_row(outcome.stage.name, "done", f"{outcome.seconds:.1f}", _rows(outcome))
    seconds = sum(outcome.seconds for outcome in outcomes)
    table.add_section()
    table.add_row("all stages", "", f"{seconds:.1f}", "")
    return table


def _show_accounts(console: Console, accounts: dict[str, int], reasons: dict[str, int]) -> None:
    parts = " + ".join(
        f"{accounts[name]:,} {name}" for name in ("kept", "merged", "rejected", "filtered")
    )
    console.print()
    say(console, f"Input rows: {accounts['read']:,} read = {parts}")
    for reason, count in reasons.items():
        console.print(Text(f"  {count:>11,}  ").append(printable(reason)))


def _named(report: dict[str, Any]) -> str:
    """What was measured: numbers compare under the same protocol, and exactly on the same data."""
    data = f", data {report['data']['hash']}" if "data" in report else ""
    return f"{report['protocol']['name']} (protocol {report['protocol']['hash']}{data})"


def _show_metrics(console: Console, measured_on: str, rows: Iterable[dict[str, Any]]) -> None:
    """One table per unit counted (users, items, ratings): subjects down, metrics across."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        unit = next(name for name in UNITS if name in row)
        error = row.get("standard_error")
        shown = f"{row['value']:.4f}" + (f" ±{error:.4f}" if error is not None else "")
        cells = groups.setdefault(f"{row[unit]:,} {unit}", {}).setdefault(row["subject"], {})
        cells[row["metric"]] = shown
        if "answered_by_biases" in row:
            cells[_FALLBACK] = f"{row['answered_by_biases']:,}"
    console.print()
    say(console, f"Measured on: {measured_on}; ± is one standard error")
    for count, subjects in groups.items():
        found = dict.fromkeys(name for cells in subjects.values() for name in cells)
        names = sorted(found, key=_FALLBACK.__eq__)  # the last column
        table = _table(f"over {count}", *(f">{name}" for name in names))
        for subject, values in subjects.items():
            table.add_row(printable(subject), *(values.get(name, "") for name in names))
        console.print(table)


def show_manifest(console: Console, manifest: Manifest, first: pa.Table | None) -> None:
    """A dataset's facts and its first rows."""
    facts = _table("", "", header=False)
    for name, value in _facts(manifest).items():
        facts.add_row(printable(name), Text(one_line(value)))
    console.print(facts)
    if first is not None and not manifest.rows:
        say(console, "no rows")
    elif first is not None and first.num_rows:
        table = _table(*first.column_names)
        for row in first.to_pylist():
            table.add_row(
                *("" if value is None else printable(_short(value)) for value in row.values())
            )
        console.print(table)


def show_root(
    console: Console, datasets: Mapping[str, Dataset | EmberlineError], runs: Sequence[Status]
) -> None:
    """What is in a root: its datasets, or what is wrong with them, and how the last run of each
    stage ended.
    """
    table = _table("dataset", ">rows", ">parts", ">bytes", "written by", "run")
    for name, found in datasets.items():
        table.add_row(
            printable(name),
            *map(printable, _sizes(found)) if isinstance(found, Dataset) else [""] * 5,
        )
    console.print(table)
    for name, found in datasets.items():
        if not isinstance(found, Dataset):
            say(console, f"{name}: {found}")
    table = _table("stage", "last run", "at", ">seconds", "error")
    for run in runs:
        style = None if run.state in ("succeeded", "running") else "red"
        cells = (run.stage, run.state, run.updated, f"{run.seconds:.1f}", run.error or "")
        table.add_row(*(Text(one_line(cell)) for cell in cells), style=style)
    if runs:
        console.print(table)


def _sizes(dataset: Dataset) -> tuple[str, ...]:
    manifest = dataset.manifest
    rows = f"{manifest.rows:,}" if manifest.kind == "table" or manifest.rows else ""
    size = sum(part.bytes for part in manifest.parts)
    return (
        rows,
        f"{len(manifest.parts):,}",
        f"{size:,}",
        manifest.produced_by.stage,
        manifest.produced_by.run_id,
    )


def _facts(manifest: Manifest) -> dict[str, Any]:
    by = manifest.produced_by
    fields = ", ".join(
        f"{f['name']} {f['type']}{'?' if f['nullable'] else ''}" for f in manifest.fields
    )
    facts: dict[str, Any] = {
        "name": f"{manifest.name} ({manifest.kind})",
        "fields": fields or "-",
        "rows": (
            f"{manifest.rows:,} in {len(manifest.parts)} parts,"
            f" {sum(part.bytes for part in manifest.parts):,} bytes"
        ),
        "written by": f"{by.stage}, run {by.run_id}",
        "fingerprint": by.fingerprint,
        "config": json.dumps(by.config, ensure_ascii=True),
        "inputs": (
            ", ".join(f"{name} of run {identity['run_id']}" for name, identity in by.inputs.items())
            or "-"
        ),
    }
    if manifest.rank is not None:
        facts["rank"] = manifest.rank
    return facts | {
        name: json.dumps(value, ensure_ascii=True)[:2000] for name, value in manifest.info.items()
    }


def _short(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list):
        return f"[{', '.join(str(_short(element)) for element in value[:4])}{', ...' if len(value) > 4 else ''}]"
    return f"{value:.4f}" if isinstance(value, float) else value


def show_recommendations(
    console: Console, user_id: str, best: Sequence[Recommendation], is_known: bool = True
) -> None:
    """A user's list; or what is popular, said to be that."""
    if not is_known:
        say(console, f"User {printable(user_id)} is unknown here. This is what is popular:")
    table = _table(
        ">rank",
        "item",
        "title",
        ">score",
        "rung",
        title=Text("for user ").append(printable(user_id)),
    )
    for row in map(asdict, best):
        table.add_row(
            str(row["rank"]),
            printable(row["item_id"]),
            printable(row["title"] or ""),
            f"{row['score']:.4f}",
            printable(row["rung"]),
        )
    console.print(table)


def show_release(console: Console, release: Release, is_new: bool) -> None:
    """What is published, and by which gates it came."""
    if not is_new:
        say(console, f"Nothing to do: release {release.release} has these tables already.")
        return
    if release.gates:
        table = _table("gate", ">found", ">limit", "")
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
    table = _table("state", "check", "found", "what to do")
    for row in rows:
        cells = [Text(one_line(row[column])) for column in ("check", "found", "remedy")]
        table.add_row(Text(row["state"], _COLOURS[row["state"]]), *cells)
    console.print(table)
    counts = {state: sum(row["state"] == state for row in rows) for state in _COLOURS}
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


def _table(*columns: str, header: bool = True, title: Text | None = None) -> Table:
    """A table in the one style of all; a column whose name starts with > is set flush right."""
    table = Table(
        box=box.SIMPLE_HEAD, show_header=header, title=title, title_justify="left", pad_edge=False
    )
    for name in columns:
        right = name.startswith(">")
        table.add_column(
            Text(one_line(name.removeprefix(">"))),
            justify="right" if right else "left",
            overflow="fold",
        )
    return table
