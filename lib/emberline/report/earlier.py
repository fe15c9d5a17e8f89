"""The last evaluation beside this one, where both were measured under one protocol: on the same
users, where what these were measured is still at hand, and else by the figures alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from emberline.comparing import paired
from emberline.comparing.comparison import REPLICATES
from emberline.comparing.paired import Pair
from emberline.comparing.run import MEASURES
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import PageFigures
from emberline.datasets.manifest import Dataset
from emberline.datasets.measures import Compared, Measured, Report, Reports
from emberline.datasets.sketch import Sketch
from emberline.datasets.storage import Location
from emberline.errors import EmberlineError
from emberline.publish.gates import LEAST_SHARED
from emberline.publish.standing import Standing, chance, standing, standing_of
from emberline.report.measures import is_ours, main_metrics
from emberline.report.text import measure, moment, signed, started

Row = dict[str, Any]
_KEPT = ("model", "metric", "value", "standard_error")
Figures = dict[str, Any]  # {"run_id": ..., "reports": {key: {"hash": ..., "rows": [...]}}}


@dataclass(frozen=True)
class Change:
    """One figure, then and now; where both are known of the same users, items or pictures, the
    interval of the difference, its p-value, and how many they are.
    """

    model: str
    metric: str
    before: str
    now: str
    difference: str
    verdict: Standing
    interval: str = ""
    p: str = ""
    over: str = ""
    other: str = ""  # the model then, where it was another

    @property
    def told(self) -> str:
        """The difference, and how sure it is."""
        if not self.interval:
            return self.difference
        return f"{self.difference}, {self.interval} on the same {self.over}, {self.p}"

    @property
    def verdict_told(self) -> str:
        """The verdict as the page says it."""
        return "within the error" if self.verdict == "undecided" else self.verdict


@dataclass(frozen=True)
class Comparison:
    """One report beside the last one's; without changes, the sentence says why."""

    sentence: str
    changes: list[Change]


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of this root, whose indices are the same in all: its reports and, by side, what
    users or items were measured.
    """

    reports: Reports
    measures: Mapping[str, Dataset]

    def ids(self, side: str) -> None:
        """Indices say who is who."""


def figures(inputs: Mapping[str, Dataset], reports: Reports) -> Figures:
    """What the next report will want to know of this one, kept in the report's manifest."""
    metrics = inputs["metrics"]
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
        "measures": {side: asdict(inputs[name].manifest) for side, name in MEASURES.items()},
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


def comparisons(
    root: Location, inputs: Mapping[str, Dataset], reports: Reports, last: Figures | None
) -> dict[str, Comparison]:
    """Each report of the evaluation beside the last one, by a measurement's key; none where
    there was none.
    """
    if last is None:
        return {}
    pairs = _pairs(root, inputs, reports, last)
    return {
        key.replace(" ", "-"): _comparison(key, report, last, pairs)
        for key, report in reports.items()
    }


def _pairs(
    root: Location, inputs: Mapping[str, Dataset], reports: Reports, last: Figures
) -> list[Pair]:
    """The metrics that have a chart, of the pipeline's models, then and now on the same users;
    none where what users were measured then is not there any more.
    """
    wanted = {key for key in reports if key in last["reports"]}
    now = Evaluated(reports, {side: inputs[name] for side, name in MEASURES.items()})
    try:
        then = {side: manifests.reopen(root, last["measures"][side]) for side in MEASURES}
        rows = {key: _measured(last["reports"][key]["rows"]) for key in wanted}
        named = {key: Report(reports[key].protocol, rows[key]) for key in wanted}
        before, chosen = Evaluated(named, then), sorted(wanted)
        return paired.pairs(before, now, chosen, REPLICATES, partial(_is_told, reports))
    except (EmberlineError, KeyError):  # pruned, forgotten, or of an older version
        return []


def _is_told(reports: Reports, pair: Pair) -> bool:
    rows = reports[pair.report].metrics
    return pair.now.metric in main_metrics(rows) and is_ours(pair.now.model)


def _comparison(key: str, report: Report, last: Figures, pairs: list[Pair]) -> Comparison:
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
    own = {(pair.now.model, pair.now.metric): pair for pair in pairs if pair.report == key}
    changes = _changes(report.metrics, _measured(then["rows"]), own)
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


def _measured(rows: list[Row]) -> list[Measured]:
    # an older evaluation named what it measured otherwise
    return [Measured(**{name: row[name] for name in _KEPT}) for row in rows if row.get("model")]


def _changes(
    now: list[Measured], then: list[Measured], pairs: Mapping[tuple[str, str], Pair]
) -> list[Change]:
    earlier = {(row.model, row.metric): row for row in then}
    wanted = [
        row
        for metric in main_metrics(now)
        for row in now
        if row.metric == metric and is_ours(row.model)
    ]
    found = []
    for row in wanted:
        place = (row.model, row.metric)
        pair = pairs.get(place)
        if pair and pair.compared:
            found.append(_paired(pair, pair.compared))
        elif place in earlier:
            found.append(_change(row, earlier[place]))
    return found


def _paired(pair: Pair, compared: Compared) -> Change:
    now, then = pair.now, pair.before
    unit = next(iter(now.over))
    return Change(
        now.model,
        now.metric,
        measure(then.value),
        measure(now.value),
        signed(compared.difference),
        standing_of(compared),
        "" if compared.interval is None else " to ".join(map(signed, compared.interval)),
        chance(compared),
        f"{pair.units:,} {unit}",
        "" if now.model == then.model else then.model,
    )


def _change(now: Measured, then: Measured) -> Change:
    """By the figures alone, as if they were of different people."""
    values = (measure(then.value), measure(now.value), signed(now.value - then.value))
    return Change(now.model, now.metric, *values, standing(now, then))
