"""The last report's figures beside this one's, where both were measured under one protocol."""

from dataclasses import asdict, dataclass
from typing import Any

from emberline.datasets import manifest as manifests
from emberline.datasets.facts import PageFigures
from emberline.datasets.manifest import Dataset
from emberline.datasets.measures import Measured, Report, Reports
from emberline.datasets.sketch import Sketch
from emberline.datasets.storage import Location
from emberline.errors import EmberlineError
from emberline.publish.gates import LEAST_SHARED
from emberline.publish.standing import Standing, standing
from emberline.report.measures import is_ours, main_metrics
from emberline.report.text import measure, moment, started

Row = dict[str, Any]
_KEPT = ("model", "metric", "value", "standard_error")
Figures = dict[str, Any]  # {"run_id": ..., "reports": {key: {"hash": ..., "rows": [...]}}}


@dataclass(frozen=True)
class Change:
    """One figure, then and now."""

    model: str
    metric: str
    before: str
    now: str
    difference: str
    verdict: Standing


@dataclass(frozen=True)
class Comparison:
    """One report beside the last one's; without changes, the sentence says why."""

    sentence: str
    changes: list[Change]


def figures(metrics: Dataset, reports: Reports) -> Figures:
    """What the next report will want to know of this one, kept in the report's manifest."""
    return {
        "run_id": metrics.manifest.produced_by.run_id,
        "reports": {
            key: {
                "hash": report.protocol.hash,
                "data": report.data and asdict(report.data),
                "rows": [{name: getattr(row, name) for name in _KEPT} for row in report.metrics],
            }
            for key, report in reports.items()
        },
    }


def before(root: Location, now: Figures) -> Figures | None:
    """The figures of the last report that was of another evaluation; None where there is none,
    or it cannot be read.
    """
    try:
        page = manifests.load(root, "report").manifest if manifests.exists(root, "report") else None
        kept = page.given(PageFigures) if page else None
    except EmberlineError:  # a damaged page is replaced by this one: no reason not to write it
        return None
    if kept and kept.figures and kept.figures["run_id"] == now["run_id"]:
        return kept.before
    return kept.figures if kept else None


def comparisons(reports: Reports, last: Figures | None) -> dict[str, Comparison]:
    """Each report of the evaluation beside the last one, by a measurement's key; none where
    there was none.
    """
    return (
        {key.replace(" ", "-"): _comparison(key, report, last) for key, report in reports.items()}
        if last
        else {}
    )


def _comparison(key: str, report: Report, last: Figures) -> Comparison:
    when, then = moment(started(last["run_id"])), last["reports"].get(key)
    if then is None:
        return Comparison(
            f"Not compared with the evaluation of {when}: it did not measure this.", []
        )
    hash_now = report.protocol.hash
    if then["hash"] != hash_now:
        reason = f"was measured under another protocol ({then['hash']}, now {hash_now})"
        return Comparison(f"Not compared with the evaluation of {when}, which {reason}.", [])
    share = _shared(report, then)
    if share < LEAST_SHARED:
        return Comparison(
            f"Not compared with the evaluation of {when}: the data have {share:.0%} in common.", []
        )
    changes = _changes(report.metrics, then["rows"])
    return Comparison(
        f"Beside the evaluation of {when}, under the same protocol{_data(report, then, share)}.",
        changes,
    )


def _shared(now: Report, then: Row) -> float:
    """What share of the smaller data is in the larger; all, where one does not say."""
    ours, theirs = now.data, Sketch.read(then.get("data"))
    return ours.shared_with(theirs) if ours and theirs else 1.0


def _data(now: Report, then: Row, share: float) -> str:
    if not now.data or not then.get("data"):
        return ""
    is_same = now.data.hash == then["data"]["hash"]
    return " and on the same data" if is_same else f", on data that have {share:.0%} in common"


def _changes(now: list[Measured], then: list[Row]) -> list[Change]:
    # an older evaluation named what it measured otherwise
    known = [Measured(**{name: row[name] for name in _KEPT}) for row in then if row.get("model")]
    earlier = {(row.model, row.metric): row for row in known}
    wanted = [
        row
        for metric in main_metrics(now)
        for row in now
        if row.metric == metric and is_ours(row.model)
    ]
    return [
        _change(row, earlier[place])
        for row in wanted
        if (place := (row.model, row.metric)) in earlier
    ]


def _change(now: Measured, then: Measured) -> Change:
    difference = now.value - then.value
    sign = "+" if difference > 0 else "−" if difference < 0 else "±"
    return Change(
        now.model,
        now.metric,
        measure(then.value),
        measure(now.value),
        f"{sign}{measure(abs(difference))}",
        standing(now, then),
    )
