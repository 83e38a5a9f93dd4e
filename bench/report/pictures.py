"""The page's pictures, each a function of the data that returns SVG text."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from bench.engines import label_of
from bench.report.data import Data
from bench.report.derived import atlas, break_even, geometric_mean, surely
from sparsenet.latency.kinds import is_sparse

#: Okabe and Ito's palette, told apart by colour-blind readers too.
COLOURS = ["#009E73", "#0072B2", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933"]
_INK = "#1f2933"
_STYLE: Any = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.edgecolor": "#9aa5b1", "axes.labelcolor": _INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 9.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.grid": True, "axes.axisbelow": True, "grid.color": "#e8ecf0",
    "xtick.color": "#52606d", "ytick.color": "#52606d", "legend.frameon": False, "lines.linewidth": 1.8,
    "lines.markersize": 4, "svg.hashsalt": "sparsenet",
}  # fmt: skip
_SHORT = {"pattern": "P", "csr": "C", "dense": "·", "blocked": "·"}


def _draw(
    width: float, height: float, columns: int, paint: Callable[[list[Axes]], None], rows: int = 1
) -> str:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(list(figure.subplots(rows, columns, squeeze=False).flat))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def _times(value: float, _: object = None) -> str:
    return f"{value:g}×"


def _plain(value: float, _: object = None) -> str:
    """1, 2 and 5 times powers of ten, as labels of a logarithmic axis."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""


def speedups(data: Data) -> str:
    """Speed-up against sparsity, one panel per network, with the points where sparsity begins to pay."""
    others = data.plan.engines[1:]
    threads = data.plan.threads[0]

    def paint(axes: list[Axes]) -> None:
        for axis in axes[len(data.plan.models) :]:
            axis.set_axis_off()
        for axis, model in zip(axes, data.plan.models, strict=False):
            for number, (engine, colour) in enumerate(zip(others, COLOURS, strict=False)):
                if not data.ratios(model, engine, threads):
                    continue
                results = data.of(model, engine, threads)
                x = [r.sparsity or 0 for r in results]
                # A curve has a gap where the machine was too noisy to tell.
                y, low, high = (
                    [math.nan if value is None else value for value in values]
                    for values in zip(
                        *((r.speedup, r.speedup_low, r.speedup_high) for r in results), strict=True
                    )
                )
                axis.plot(x, y, "o-", color=colour, label=f"over {label_of(engine)}")
                axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
                pays = break_even(surely(results))
                if pays:
                    axis.plot([pays], [1], "D", color=colour, markersize=6, markeredgecolor="white")
                    place = (3, 5 if number % 2 else -11)  # neighbours above and below the line
                    axis.annotate(
                        f"{pays:.0%}", (pays, 1), xytext=place, textcoords="offset points", color=colour
                    )
            axis.axhline(1, color="#9aa5b1", linewidth=1)
            axis.set(title=model, yscale="log", xlabel="sparsity (share of zeros)", xlim=(-0.02, 1))
            axis.yaxis.set_major_formatter(FuncFormatter(_times))
            axis.yaxis.set_minor_formatter(
                FuncFormatter(lambda v, _: f"{v:g}×" if f"{v:e}"[0] in "235" else "")
            )
            axis.xaxis.set_major_formatter(PercentFormatter(1))
        axes[0].set_ylabel("times as fast")
        axes[0].legend()

    columns = min(2, len(data.plan.models))
    rows = -(-len(data.plan.models) // columns)
    return _draw(5 * columns, 3.2 * rows, columns, paint, rows)


def roofline(data: Data) -> str:
    """Each kernel on each layer: operations on nonzeros per byte against operations per second, under the roofs."""
    timed = [rate for rate in data.rates if rate.gflops and not rate.memory_bound]
    fma = float(np.median([rate.peak for rate in timed]))
    read = float(np.median([rate.peak for rate in data.rates if rate.memory_bound] or [fma]))
    families = list(dict.fromkeys(rate.family for rate in timed))

    def paint(axes: list[Axes]) -> None:
        axis = axes[0]
        intensity = [rate.gflops / rate.gbytes for rate in timed if rate.gflops]
        x = np.geomspace(fma / read / 2, max(intensity) * 1.5, 200)
        axis.plot(x, np.minimum(fma, read * x), color=_INK, linewidth=1.4)
        ends: Any = {"textcoords": "offset points", "color": _INK}
        axis.annotate(f"multiply-adds: {fma:.0f} GFLOP/s", (x[-1], fma), xytext=(0, 3), ha="right", **ends)
        axis.annotate(f"reading L2: {read:.0f} GB/s", (x[0], fma / 2), xytext=(6, -12), **ends)
        for family, colour in zip(families, COLOURS, strict=False):
            for density in sorted(
                {rate.density or 1 for rate in timed if rate.family == family}, reverse=True
            ):
                mine = [rate for rate in timed if (rate.family, rate.density) == (family, density)]
                size = 12 + 50 * density if is_sparse(family) else 40
                speeds = [(r.gflops / r.gbytes, r.gflops) for r in mine if r.gflops]
                axis.scatter(
                    [x for x, _ in speeds], [y for _, y in speeds], s=size, color=colour,
                    alpha=0.65, linewidth=0,
                    label=family.removeprefix("f32_").removesuffix("_rows") if density >= 0.5 or density == max(
                        r.density or 1 for r in timed if r.family == family) else None,
                )  # fmt: skip
        slowest = min(rate.gflops for rate in timed if rate.gflops)
        axis.set(
            xscale="log", yscale="log", ylim=(slowest * 0.8, fma * 1.35), ylabel="GFLOP/s on nonzeros",
            xlabel="operations on nonzeros per byte of pixels and weights",
        )  # fmt: skip
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter(FuncFormatter(_plain))
            side.set_minor_formatter(FuncFormatter(_plain))
        handles, labels = axis.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        axis.legend(unique.values(), unique.keys(), loc="lower right")

    return _draw(10, 4.6, 1, paint)


def break_even_atlas(data: Data) -> str:
    """Layers × sparsity: how many times as fast the best kernel is as the best dense one, and which it is."""
    cells = atlas(data.rates)
    layers = list(dict.fromkeys(cell.layer for cell in cells))
    densities = sorted({cell.density for cell in cells}, reverse=True)
    gains = np.ones((len(layers), len(densities)))
    names = np.full(gains.shape, "", object)
    for cell in cells:
        place = layers.index(cell.layer), densities.index(cell.density)
        kind = next(kind for kind in _SHORT if f"_{kind}_" in cell.family)
        gains[place], names[place] = cell.gain, _SHORT[kind]

    def paint(axes: list[Axes]) -> None:
        axis = axes[0]
        axis.grid(visible=False)
        norm = LogNorm(1, max(10.0, float(gains.max())))
        image = axis.imshow(gains, aspect="auto", cmap="viridis", norm=norm)
        for (row, column), gain in np.ndenumerate(gains):
            light = norm(gain) < 0.6
            axis.text(column, row, f"{names[row, column]} {gain:.1f}", ha="center", va="center", fontsize=8.5,
                color="white" if light else "black")  # fmt: skip
        axis.set_xticks(range(len(densities)), [f"{1 - density:.0%} zeros" for density in densities])
        axis.set_yticks(range(len(layers)), layers, fontsize=8.5)
        axis.figure.colorbar(image, ax=axis, label="times as fast as dense", format=FuncFormatter(_times))

    return _draw(10, 0.8 + 0.24 * len(layers), 1, paint)


def thread_scaling(data: Data) -> str:
    """How much faster each network gets with threads, dense and sparse."""
    few, many = data.plan.threads[0], data.plan.threads[-1]

    def paint(axes: list[Axes]) -> None:
        axis = axes[0]
        sparsities = (data.plan.sparsities[0], data.plan.sparsities[-1])
        engines = data.plan.engines
        bars = [(engine, s) for engine in engines for s in sparsities]
        width = 0.8 / len(bars)
        for number, (engine, sparsity) in enumerate(bars):
            heights = []
            for model in data.plan.models:
                own = [
                    r
                    for r in data.results[model]
                    if (r.engine, r.sparsity, r.too_noisy) == (engine, sparsity, False)
                ]
                times = {r.threads: r.latency_ms_median for r in own}
                heights.append(times[few] / times[many] if few in times and many in times else 0)
            places = np.arange(len(data.plan.models)) + number * width
            axis.bar(places, heights, 0.9 * width, color=COLOURS[engines.index(engine)], alpha=1 - 0.5 * (number % 2),
                label=f"{label_of(engine)}, {sparsity:.0%} zeros")  # fmt: skip
        axis.axhline(many / few, color="#9aa5b1", linewidth=1)
        axis.set_xticks(np.arange(len(data.plan.models)) + 0.4 - width / 2, data.plan.models)
        axis.set(ylabel=f"times as fast on {many} threads as on {few}")
        axis.legend(ncols=2, loc="lower right", framealpha=0.9, frameon=True)

    return _draw(10, 3.6, 1, paint)


def history(data: Data) -> str:
    """Geometric mean over networks of the speed-up over each engine, commit by commit, at the highest sparsity."""
    highest, threads = data.plan.sparsities[-1], data.plan.threads[0]

    def paint(axes: list[Axes]) -> None:
        axis = axes[0]
        commits = [entry["commit"][:9] for entry in data.history]
        for engine, colour in zip(data.plan.engines[1:], COLOURS, strict=False):
            means = [
                [
                    s["speedup"] for s in entry["speedups"]
                    if (s["engine"], s["sparsity"], s["threads"]) == (engine, highest, threads)
                ]
                for entry in data.history
            ]  # fmt: skip
            points = [(i, geometric_mean(values)) for i, values in enumerate(means) if values]
            axis.plot(
                *zip(*points, strict=True), "o-", color=colour, label=f"over {label_of(engine)}"
            ) if points else None
        axis.set_xticks(range(len(commits)), commits, rotation=30, ha="right")
        axis.set(ylabel=f"times as fast at {highest:.0%} zeros", ylim=(0, None))
        axis.yaxis.set_major_formatter(FuncFormatter(_times))
        axis.legend()

    return _draw(10, 3.0, 1, paint)
