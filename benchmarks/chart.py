"""Seconds over sizes as a chart: a panel per comparison, a line per subject, by powers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

Line = Sequence[tuple[float, float]]  # (size, seconds), in the order of sizes
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "emberline", "font.size": 9}
# by subject its name, mark and colour; ours are full lines
_LINES = {
    "emberline": ("Emberline, one machine", "o-", "#c2410c"),
    "on Spark": ("Emberline on Spark", "s-", "#1d4ed8"),
    "implicit": ("implicit", "^--", "#4b5563"),
    "mllib": ("MLlib", "^--", "#15803d"),
}


def draw(path: Path, panels: Mapping[str, Mapping[str, Line]], size: str) -> None:
    """Write the panels, by their titles, as an SVG or what else the file's name says; `size` is
    what sizes are counted in.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for place, (title, lines) in zip(axes, panels.items(), strict=True):
            _panel(place, title, lines, size)
        axes[0].set_ylabel("seconds, whole fit")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(axes: Axes, title: str, lines: Mapping[str, Line], size: str) -> None:
    for subject, points in lines.items():
        sizes, seconds = zip(*points, strict=True)
        name, mark, colour = _LINES[subject]
        axes.plot(sizes, seconds, mark, color=colour, label=name, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel=size, title=title)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.set_xticks(sorted({each for points in lines.values() for each, _ in points}), minor=False)
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
