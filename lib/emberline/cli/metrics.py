"""Metrics as tables: one per unit that is counted, models down, metrics across."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from emberline.cf.metrics import is_brief
from emberline.cli.console import make_table, printable, say
from emberline.datasets.measures import COLD_ITEMS, Measured, Report

_FALLBACK = "answered by biases"  # how often, where a model that predicts ratings has no answer
_ANY_WIDTH = 1 << 20
Cells = Mapping[str, Mapping[str, str]]  # by model, by metric


def named(report: Report) -> str:
    """What was measured: numbers compare under the same protocol, and exactly on the same data."""
    data = f", data {report.data.hash}" if report.data else ""
    return f"{report.protocol.name} (protocol {report.protocol.hash}{data})"


def show_metrics(
    console: Console, measured_on: str, rows: Iterable[Measured], report: str = ""
) -> None:
    """Tables for each unit counted (users, items, ratings), of as many metrics as there is room
    for side by side; the report has those, too, for which there is none here.
    """
    error = "one standard error"
    if report == COLD_ITEMS:
        error += " over users or over items, the larger"
    console.print()
    say(console, f"Measured on: {measured_on}; ± is {error}")
    for count, cells in _by_unit(row for row in rows if is_brief(row.metric)).items():
        for table in _tables(console, f"over {count}", cells):
            console.print(table)


def _by_unit(rows: Iterable[Measured]) -> dict[str, dict[str, dict[str, str]]]:
    """Under each count, such as 2,990 users, the cells of its table."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        unit, count = next(iter(row.over.items()))
        error = row.standard_error
        shown = f"{row.value:.4f}" + (f" ±{error:.4f}" if error is not None else "")
        cells = found.setdefault(f"{count:,} {unit}", {}).setdefault(row.model, {})
        cells[row.metric] = shown
        if row.answered_by_biases is not None:
            cells[_FALLBACK] = f"{row.answered_by_biases:,}"
    return found


def _tables(console: Console, heading: str, cells: Cells) -> Iterator[Table]:
    """No cell is broken: the metrics that do not fit beside the others come in a table below."""
    names = list(dict.fromkeys(name for values in cells.values() for name in values))
    names.sort(key=_FALLBACK.__eq__)  # the last column
    while names:
        count = len(names)
        while count > 1 and not _fits(console, _table(heading, cells, names[:count])):
            count -= 1
        yield _table(heading, cells, names[:count])
        names = names[count:]


def _table(heading: str, cells: Cells, names: Sequence[str]) -> Table:
    table = make_table(heading, *(f">{name}" for name in names))
    for model, values in cells.items():
        if not values.keys().isdisjoint(names):
            table.add_row(printable(model), *(values.get(name, "") for name in names))
    return table


def _fits(console: Console, table: Table) -> bool:
    unbound = console.options.update(max_width=_ANY_WIDTH)
    return console.measure(table, options=unbound).maximum <= console.width
