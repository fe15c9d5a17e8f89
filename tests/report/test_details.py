"""What the page says of pairs of models and of slices, and what it begins with."""

from emberline.datasets.measures import Compared, Measured, Protocol, Report, Slice
from emberline.report import details, gains
from emberline.report.earlier import Change, Comparison
from emberline.report.measures import Cell, measurements

ROWS = [
    Measured("als", "ndcg@5", 0.25, 0.03, [0.2, 0.31], users=9),
    Measured("most-popular", "ndcg@5", 0.2, 0.02, [0.16, 0.24], users=9),
    Measured("random", "ndcg@5", 0.01, 0.0, users=9),
]
COMPARISONS = [
    Compared("als", "most-popular", "ndcg@5", 0.05, [-0.01, 0.11], 0.08, 0.08),
    Compared("als", "random", "ndcg@5", 0.24, [0.2, 0.3], 0.001, 0.002),
]
SLICES = [
    Slice("label", "north", model, metric, value, 0.1, interval, users=4)
    for model, value, interval in (("als", 0.3, [0.1, 0.5]), ("random", 0.0, None))
    for metric in ("ndcg@5", "recall@5/n")
] + [Slice("popularity of the item", "tenth 1", "als", "recall@5/pairs", 0.5, 0.1, items=3)]
REPORTS = {
    "cold items": Report(Protocol("of a test", "a"), ROWS, comparisons=COMPARISONS, slices=SLICES)
}


def test_differences_are_told_the_largest_first_with_what_they_may_be() -> None:
    found = details.differences(REPORTS)["cold-items"]
    assert [vars(line) for line in found] == [
        {
            "metric": "ndcg@5",
            "model": "als",
            "other": other,
            "difference": difference,
            "interval": interval,
            "p": p,
            "verdict": verdict,
        }
        for other, difference, interval, p, verdict in (
            ("random", "+0.240", "+0.200 to +0.300", "p < 0.005", "better"),
            ("most-popular", "+0.050", "\u22120.010 to +0.110", "p = 0.080", "undecided"),
        )
    ]


def test_slices_have_the_metric_that_decides_and_where_there_is_none_what_there_is() -> None:
    label, popularity = details.slices(REPORTS)["cold-items"]
    assert (label.by, label.metric, label.models) == (
        "label",
        "ndcg@5",
        [("als", True), ("random", False)],
    )
    (line,) = label.lines
    assert (line.metric, line.over) == ("north", "4 users")
    assert line.cells == [
        Cell("0.300", "(0.100 to 0.500)", False),
        Cell("0.000", "\u00b1 0.100", False),
    ]
    assert popularity.metric == "recall@5/pairs" and popularity.lines[0].over == "3 items"


def test_the_head_says_how_sure_the_gain_is_and_what_it_was_before() -> None:
    (gain,) = gains.gains(REPORTS)
    assert (gain.interval, gain.verdict) == ("0.200 to 0.310", "undecided")
    assert gain.difference == "+0.050, \u22120.010 to +0.110 on the same 9 users, p = 0.080"
    change = Change("als", "ndcg@5", "0.240", "0.250", "+0.010", "undecided")
    last = {"cold-items": Comparison("Beside the evaluation of today.", [change])}
    told = gains.beside_last(gain, last).before
    assert told == "Before it was 0.240: +0.010, within the error."
    refused = {"cold-items": Comparison("Not compared.", [])}
    assert gains.beside_last(gain, refused).before == "Not compared."
    assert gains.beside_last(gain, {}) == gain


def test_a_value_has_its_interval_and_one_that_did_not_vary_has_neither() -> None:
    (measurement,) = measurements(REPORTS)
    (line,) = measurement.grids[0].lines
    assert [cell and cell.error for cell in line.cells] == [
        "(0.200 to 0.310)",
        "(0.160 to 0.240)",
        "",
    ]
