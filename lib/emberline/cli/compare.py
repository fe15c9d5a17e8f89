"""`emberline compare`: two runs side by side, and whether the second is better."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from emberline.cf.metrics import is_brief, metric_of
from emberline.cli.console import COLOURS, make_console, make_table, printable, say
from emberline.cli.metrics import named
from emberline.cli.plan import Style
from emberline.comparing.changes import Change
from emberline.comparing.comparison import Comparison
from emberline.comparing.paired import Pair, decides
from emberline.comparing.run import Run
from emberline.datasets import storage
from emberline.logs import public
from emberline.models import role_of
from emberline.publish import trivial
from emberline.publish.standing import Standing, standing_of
from emberline.runs.roots import Roots

_WORDS = {"better": "better", "worse": "worse", "undecided": "may be chance"}

RunRoot = Annotated[
    str, typer.Argument(metavar="RUN", help="A root with metrics, such as runs/demo.")
]


def compare(
    before: RunRoot,
    now: RunRoot,
    base: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="A root that has what either of the two lacks."),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Compare this report alone, such as 'cold items'."),
    ] = None,
    style: Style = "text",
) -> None:
    """Compare the metrics of two runs, on the users and items that both have measured: what changed
    in settings and data, how far they are apart, and whether that may be chance. Runs that were
    measured by different protocols are refused.
    """
    place = storage.locate(base) if base else None
    then, since = (Run.of(_roots(root, place)) for root in (before, now))
    found = Comparison.of(then, since, report)
    if style == "json":
        told = json.dumps(_as_json(found), indent=1, ensure_ascii=False)
        make_console().out(told, highlight=False)
        return
    show_comparison(make_console(), found)


def _roots(root: str, base: Any) -> Roots:
    """Of the base and itself, the base is a root alone."""
    place = storage.locate(root)
    return Roots(place, None if base is None or str(base) == str(place) else base)


def show_comparison(console: Console, found: Comparison) -> None:
    """What changed, every metric then and now, and what that comes to."""
    roots = [run.roots.root for run in (found.before, found.now)]
    names = {root.name for root in roots}
    places = [root.name if len(names) > 1 else public(root) for root in roots]
    say(console, f"Before: {places[0]}   Now: {places[1]}")
    _show_changes(console, found.settings, found.is_other_code)
    for name in found.reports:
        own = [pair for pair in found.of_report(name) if _has_room(pair)]
        share = found.shared_data(name)
        data = "on the same data" if share == 1 else f"on data that have {share:.0%} in common"
        console.print()
        say(console, f"{name}: {named(found.now.reports[name])}, {data}")
        console.print(_table(own))
    for line, verdict in _verdicts(found.pairs):
        console.print(Text(line, _style(verdict)), soft_wrap=True)
    for compared in trivial.not_beaten(found.now.reports):
        line = f"Now {compared.words}: {compared.metric} {compared.value:.4f} against"
        line += f" {compared.trivial_value:.4f}{compared.remark}"
        console.print(Text(line, COLOURS["warning"]), soft_wrap=True)


def _has_room(pair: Pair) -> bool:
    """Of models what is brief, and of what stands beside them the metrics that decide."""
    if role_of(pair.now.model) == "model":
        return is_brief(pair.now.metric)
    metric = metric_of(pair.now.metric)
    return metric is not None and metric.is_main


def _show_changes(console: Console, settings: Sequence[Change], is_other_code: bool) -> None:
    if is_other_code:
        say(console, "The code differs: some stages were run by another version of Emberline.")
    if not settings:
        say(console, "No setting of any stage differs.")
        return
    table = make_table("stage", "setting", "before", "now")
    for change in settings:
        cells = (change.stage, change.setting, change.before, change.now)
        table.add_row(*map(printable, cells))
    console.print(table)


def _table(found: Sequence[Pair]) -> Any:
    """Models first, and their baselines beside them; differences are on what both have measured."""
    heads = (">before", ">now", ">difference", ">95 % interval", ">p", "")
    table = make_table("metric", "model", *heads)
    for column in table.columns[2:]:
        column.no_wrap = True
    for pair in found:
        compared = pair.compared
        name = pair.now.model
        if pair.before.model != name:
            name = f"{name} (before {pair.before.model})"
        cells = [pair.now.metric, name, f"{pair.before.value:.4f}", f"{pair.now.value:.4f}"]
        if compared is None:
            cells += [f"{pair.now.value - pair.before.value:+.4f}", "", "", ""]
        else:
            span = compared.interval
            spread = f"{span[0]:+.4f} to {span[1]:+.4f}" if span else ""
            p = _p(compared.adjusted) if decides(pair) else ""
            word = _WORDS[standing_of(compared)] if decides(pair) else ""
            cells += [f"{compared.difference:+.4f}", spread, p, word]
        style = None if role_of(pair.now.model) == "model" else "dim"
        table.add_row(*map(printable, cells), style=style)
    return table


def _verdicts(found: Sequence[Pair]) -> list[tuple[str, Standing]]:
    """A sentence for each metric that decides, effect size first."""
    lines: list[tuple[str, Standing]] = []
    for pair in found:
        compared = pair.compared
        if compared is None or not decides(pair):
            continue
        verdict = standing_of(compared)
        share = compared.difference / pair.before.value if pair.before.value else 0.0
        unit = next(iter(pair.now.over))
        what = f"{pair.report}, {pair.now.metric} of {pair.now.model}"
        size = f"{compared.difference:+.4f} ({share:+.1%}) on {pair.units:,} {_units(unit)}"
        words = {
            "better": f"Better: {what} {size}, p {_p(compared.adjusted)}",
            "worse": f"Worse: {what} {size}, p {_p(compared.adjusted)}",
            "undecided": f"Not told apart: {what} {size}, which may be chance, p"
            f" {_p(compared.adjusted)}",
        }
        lines.append((words[verdict], verdict))
    return lines


def _units(over: str) -> str:
    """Of whom errors of ratings are drawn."""
    return "users" if over == "ratings" else over


def _style(verdict: Standing) -> str:
    return {"better": COLOURS["ok"], "worse": COLOURS["error"]}.get(verdict, "")


def _p(p: float) -> str:
    return "< .005" if p < 0.005 else f"{p:.3f}"


def _as_json(found: Comparison) -> dict[str, Any]:
    return {
        "before": public(found.before.roots.root),
        "now": public(found.now.roots.root),
        "settings": [vars(change) for change in found.settings],
        "other_code": found.is_other_code,
        "reports": {
            name: {
                "protocol": found.now.reports[name].protocol.hash,
                "shared_data": found.shared_data(name),
                "metrics": [_row(pair) for pair in found.of_report(name)],
            }
            for name in found.reports
        },
        "not_beaten": [
            {
                "model": of.model,
                "baseline": of.trivial,
                "metric": of.metric,
                "standing": of.standing,
            }
            for of in trivial.not_beaten(found.now.reports)
        ],
    }


def _row(pair: Pair) -> dict[str, Any]:
    compared = pair.compared
    row: dict[str, Any] = {
        "metric": pair.now.metric,
        "model": pair.now.model,
        "model_before": pair.before.model,
        "role": role_of(pair.now.model),
        "before": pair.before.value,
        "now": pair.now.value,
    }
    if compared is None:
        return row
    return row | {
        "difference": compared.difference,
        "interval": compared.interval,
        "p": compared.p,
        "adjusted": compared.adjusted if decides(pair) else None,
        "verdict": standing_of(compared) if decides(pair) else None,
        "units": pair.units,
    }
