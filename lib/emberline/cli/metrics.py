"""Metrics as tables: one per unit that is counted, models down, metrics across."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console

from emberline.cli.console import make_table, printable, say
from emberline.datasets.measures import UNITS

_FALLBACK = "answered by biases"  # how often, where a model that predicts ratings has no answer


def named(report: dict[str, Any]) -> str:
    """What was measured: numbers compare under the same protocol, and exactly on the same data."""
    data = f", data {report['data']['hash']}" if "data" in report else ""
    return f"{report['protocol']['name']} (protocol {report['protocol']['hash']}{data})"


def show_metrics(console: Console, measured_on: str, rows: Iterable[dict[str, Any]]) -> None:
    """One table per unit counted (users, items, ratings): models down, metrics across."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        unit = next(name for name in UNITS if name in row)
        error = row.get("standard_error")
        shown = f"{row['value']:.4f}" + (f" ±{error:.4f}" if error is not None else "")
        cells = groups.setdefault(f"{row[unit]:,} {unit}", {}).setdefault(row["model"], {})
        cells[row["metric"]] = shown
        if "answered_by_biases" in row:
            cells[_FALLBACK] = f"{row['answered_by_biases']:,}"
    console.print()
    say(console, f"Measured on: {measured_on}; ± is one standard error")
    for count, models in groups.items():
        found = dict.fromkeys(name for cells in models.values() for name in cells)
        names = sorted(found, key=_FALLBACK.__eq__)  # the last column
        table = make_table(f"over {count}", *(f">{name}" for name in names))
        for model, values in models.items():
            table.add_row(printable(model), *(values.get(name, "") for name in names))
        console.print(table)
