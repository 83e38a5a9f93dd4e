"""Pictures: PNG bytes, drawn with matplotlib."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

#: Okabe and Ito's palette, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#52606d")
THEIRS = "#9aa5b1"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": "#9aa5b1",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ecf0",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
}


@dataclass(frozen=True)
class Picture:
    """A PNG.

    Attributes:
        key: name of its file.
        caption: what it shows.
        png: its bytes.
        csv: what it draws, where no table has it.
        wide: whether it takes a line of the page for itself.
    """

    key: str
    caption: str
    png: bytes
    csv: str | None = None
    wide: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a plot; the papers' own are dashed."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    theirs: bool = False


@dataclass(frozen=True)
class Plot:
    """A pair of axes: lines, titles of the axes, which of them is in percent or whole numbers."""

    lines: Sequence[Line]
    x: str
    y: str
    title: str = ""
    percent_x: bool = False
    percent_y: bool = False
    whole_x: bool = False


def line_plots(key: str, caption: str, plots: Sequence[Plot]) -> Picture:
    """Plots side by side, two in a row, and their lines as CSV."""
    across = min(2, len(plots))
    down = -(-len(plots) // across)
    png = draw(4.8 * across, 3.3 * down, across, lambda axes: _paint(axes, plots), down)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["plot", "line", "x", "y"])
    for plot in plots:
        for line in plot.lines:
            writer.writerows((plot.title, line.label, x, y) for x, y in zip(line.x, line.y, strict=True))
    return Picture(key, caption, png, text.getvalue(), wide=across > 1)


def draw(
    width: float, height: float, columns: int, paint: Callable[[list[Axes]], None], rows: int = 1
) -> bytes:
    """A PNG of ``rows`` × ``columns`` axes, painted by ``paint``."""
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(list(figure.subplots(rows, columns, squeeze=False).flat))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=144, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _paint(axes: list[Axes], plots: Sequence[Plot]) -> None:
    for axis, plot in zip(axes, plots, strict=False):
        colours = iter(COLOURS * (1 + len(plot.lines) // len(COLOURS)))
        theirs = iter(("--", ":", "-."))
        for line in plot.lines:
            if line.theirs:
                axis.plot(line.x, line.y, next(theirs), color=THEIRS, label=line.label)
            else:
                axis.plot(line.x, line.y, "o-", color=next(colours), label=line.label)
        axis.set(xlabel=plot.x, ylabel=plot.y, title=plot.title)
        axis.set_ylim(bottom=0)
        if plot.percent_x:
            axis.xaxis.set_major_formatter(PercentFormatter(1))
        if plot.percent_y:
            axis.yaxis.set_major_formatter(PercentFormatter(1))
        if plot.whole_x:
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.legend(fontsize=7.5)
    for axis in axes[len(plots) :]:
        axis.set_visible(False)
