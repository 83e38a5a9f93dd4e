"""Pictures: PNG bytes, drawn with matplotlib."""

from __future__ import annotations

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
    """A PNG: name of its file, what it shows in a sentence, its bytes."""

    key: str
    caption: str
    png: bytes
    wide: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a plot; ``spread`` is drawn as whiskers, ``theirs`` dashed."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float] | None = None
    theirs: bool = False


@dataclass(frozen=True)
class Plot:
    """A pair of axes: lines, titles of the axes, which of them is in percent, where y ends."""

    lines: Sequence[Line]
    x: str
    y: str
    title: str = ""
    percent_x: bool = False
    percent_y: bool = False
    bottom: float | None = 0.0
    whole_x: bool = False
    log_y: bool = False


def line_plots(plots: Sequence[Plot], width: float = 4.8, height: float = 3.3, columns: int = 3) -> bytes:
    """Plots side by side, ``columns`` in a row."""
    across = min(columns, len(plots))
    down = -(-len(plots) // across)
    return draw(width * across, height * down, across, lambda axes: _paint(axes, plots), down)


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
            elif line.spread is not None:
                axis.errorbar(
                    line.x, line.y, line.spread, marker="o", capsize=3, color=next(colours), label=line.label
                )
            else:
                axis.plot(line.x, line.y, "o-", color=next(colours), label=line.label)
        axis.set(xlabel=plot.x, ylabel=plot.y, title=plot.title)
        if plot.log_y:
            axis.set_yscale("log")
        elif plot.bottom is not None:
            axis.set_ylim(bottom=plot.bottom)
        if plot.percent_x:
            axis.xaxis.set_major_formatter(PercentFormatter(1))
        if plot.percent_y:
            axis.yaxis.set_major_formatter(PercentFormatter(1))
        if plot.whole_x:
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(fontsize=7.5)
    for axis in axes[len(plots) :]:
        axis.set_visible(False)
