"""Charts as inline SVG: numbers in, text out. Colours are the page's CSS variables, so that
charts follow light and dark.
"""

import html
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# What matplotlib draws with stands for a variable of page.css, and is replaced by it.
INK, MUTED, GRID, ACCENT, SECOND, QUIET = (
    "#010101",
    "#020202",
    "#030303",
    "#040404",
    "#050505",
    "#060606",
)
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    ACCENT: "accent-fill",
    SECOND: "second",
    QUIET: "quiet",
}
_STYLE: "dict[RcKeyType, Any]" = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.sans-serif": ["DejaVu Sans"],  # for measuring; the page has fonts of its own
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}
_WIDTH = 4.0  # inches: shown at 300 to 460 CSS pixels, where 9 pt are readable
_SILENT: dict[str, None] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
Floats = npt.NDArray[np.float64]


def bars(
    title: str,
    labels: Sequence[str],
    values: Sequence[float],
    reaches: Sequence[tuple[float, float] | None],
    tones: Sequence[str],
) -> str:
    """Horizontal bars, the first on top, each with its value and what that lies in; a tone of INK
    is an outline only.
    """
    places, both = range(len(values)), list(zip(values, reaches, strict=True))
    rights = [reach[1] if reach else value for value, reach in both]

    def draw(axes: Axes) -> None:
        faces = ["none" if tone == INK else tone for tone in tones]
        edges = [MUTED if tone == INK else tone for tone in tones]
        axes.barh(places, values, 0.62, color=faces, edgecolor=edges, linewidth=0.9)
        _whiskers(axes, both)
        widest = max(rights, default=1.0) or 1.0
        for place, value, right in zip(places, values, rights, strict=True):
            axes.text(right + widest * 0.025, place, f"{value:.3f}", va="center", fontsize=9)
        ends = {"xlim": (0, widest * 1.18), "ylim": (len(values) - 0.4, -0.6)}
        axes.set(yticks=places, yticklabels=labels, **ends)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.xaxis.set_major_locator(MaxNLocator(4))

    return drawn(title, 0.5 + 0.26 * len(values), draw)


def _whiskers(axes: Axes, both: Sequence[tuple[float, tuple[float, float] | None]]) -> None:
    """Of each value, over what it lies in; none is not one of length 0."""
    lengths = np.array(
        [(value - reach[0], reach[1] - value) if reach else (np.nan,) * 2 for value, reach in both]
    ).reshape(-1, 2)
    axes.errorbar(
        [value for value, _ in both],
        range(len(both)),
        xerr=np.maximum(lengths, 0).T,
        fmt="none",
        ecolor=INK,
        elinewidth=0.9,
        capsize=2.2,
        capthick=0.9,
    )


def lines(
    title: str, unit: str, series: Mapping[str, Sequence[float]], marked: float | None = None
) -> str:
    """One line per series over units counted from 1, such as epochs; `marked` gets a vertical
    line.
    """
    x = range(1, 1 + max(map(len, series.values()), default=0))

    def draw(axes: Axes) -> None:
        for (name, values), tone in zip(series.items(), (QUIET, ACCENT, SECOND), strict=False):
            is_only = len(series) == 1
            axes.plot(
                x,
                values,
                color=SECOND if is_only else tone,
                label=name,
                marker="o" if len(x) < 3 else None,
                markersize=4,
            )
        if marked is not None:
            axes.axvline(
                marked, color=INK, linewidth=0.9, linestyle=(0, (3, 3)), label=f"best ({marked:g})"
            )
        if len(series) > 1 or marked is not None:
            axes.legend(loc="best")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel(unit)
        if max(abs(limit) for limit in axes.get_ylim()) >= 1000:
            _thousands(axes)

    return drawn(title, 2.5, draw)


def columns(
    title: str, labels: Sequence[str], counts: Sequence[int], x_label: str, y_label: str
) -> str:
    """Vertical bars; counts that differ more than fiftyfold get a logarithmic axis."""

    def draw(axes: Axes) -> None:
        axes.bar(np.arange(len(counts)), counts, 0.86, color=SECOND)
        filled = [count for count in counts if count]
        is_skewed = bool(filled) and max(filled) > 50 * min(filled)
        if is_skewed:
            axes.set_yscale("log")
            axes.set_ylim(bottom=min(filled) / 2)
        step = -(-len(labels) // 10)
        axes.set_xticks(range(0, len(labels), step), labels[::step])
        axes.set(xlabel=x_label, ylabel=f"{y_label} (log scale)" if is_skewed else y_label)
        _thousands(axes)

    return drawn(title, 2.5, draw)


def tail(title: str, counts: Floats) -> str:
    """Counts from the largest to the smallest, both axes logarithmic; counts: (num_items,),
    those of 0 are left out.
    """

    def draw(axes: Axes) -> None:
        ordered = np.sort(counts[counts > 0])[::-1]
        places = np.unique(np.geomspace(1, max(len(ordered), 1), 200).astype(int))
        axes.loglog(places, ordered[places - 1], color=SECOND)
        axes.fill_between(places, ordered[places - 1], 1, color=SECOND, alpha=0.15, linewidth=0)
        axes.set(xlabel="items, the most rated first", ylabel="ratings (log scale)")
        axes.set_ylim(bottom=1)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        _thousands(axes)

    return drawn(title, 2.5, draw)


def heat(title: str, shares: Floats) -> str:
    """A matrix of shares, 0..1, as a picture: (true classes, predicted classes), too many for
    names.
    """

    def draw(axes: Axes) -> None:
        axes.imshow(shares, cmap="Oranges", vmin=0, vmax=1, interpolation="none")
        axes.grid(visible=False)
        axes.set(xlabel="predicted class", ylabel="true class")

    return drawn(title, 4.2, draw)


def _thousands(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def drawn(title: str, height: float, draw: Callable[[Axes], None]) -> str:
    """One figure's SVG element, `height` in inches; the same text whenever it is drawn again."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # the page's fonts have what those for measuring lack
        warnings.filterwarnings("ignore", "Glyph .* missing")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": title})
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata=_SILENT)
    return _inline(buffer.getvalue(), title)


def _inline(document: str, title: str) -> str:
    """The SVG element of a document, with a title, the page's colours, and neither namespaces
    nor ids that nothing refers to.
    """
    svg = document[document.index("<svg") :]
    svg = re.sub(
        r'<svg [^>]*(viewBox="[^"]*")[^>]*>',
        rf'<svg \1 role="img" aria-label="{_attribute(title)}">',
        svg,
        count=1,
    )
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # it would hold for the whole page
    used = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    start = svg.index(">") + 1
    return f"{svg[:start]}<title>{html.escape(title)}</title>{svg[start:]}"


def _attribute(text: str) -> str:
    """Escaped for an attribute, and for `re.sub`, where a backslash would mean something."""
    return html.escape(text).replace("\\", r"\\")
