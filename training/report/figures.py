"""The report's pictures, each a function of the report that returns SVG text."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from training.report.findings import FINAL, one_shot
from training.report.model import Report, Stage
from training.report.names import ENGINE_NAMES, row_title
from training.report.paper import ACCURACY_AT_SPARSITY

#: Okabe and Ito's palette, told apart by colour-blind readers too.
ENGINE_COLOURS = {
    "pytorch": "#D55E00", "dense": "#0072B2", "sparse": "#009E73", "int8-dense": "#56B4E9", "int8-sparse": "#CC79A7"
}  # fmt: skip
_INK, _FAINT = "#1f2933", "#d5dbe1"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ecf0",
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "svg.hashsalt": "sparsenet",  # same numbers, same bytes
}


def _draw(
    width: float, height: float, columns: int, paint: Callable[[list[Axes]], None], rows: int = 1
) -> str:
    """An SVG of ``rows`` × ``columns`` axes, painted by ``paint``."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(list(figure.subplots(rows, columns, squeeze=False).flat))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def _percent(axis: Axes, which: str = "y") -> None:
    (axis.yaxis if which == "y" else axis.xaxis).set_major_formatter(PercentFormatter(1))


def result(report: Report) -> tuple[str, str]:
    """The whole story: accuracy after every step, and the final student's milliseconds in every engine."""

    def paint_quality(axes: list[Axes]) -> None:
        (quality,) = axes
        steps = {row_title(stage, stored): (stored or stage).scores.accuracy for stage, stored in report.rows}
        point = one_shot(report)
        bars = [(name, share, "#0072B2") for name, share in steps.items()]
        if point:
            place = list(steps).index(report.stage(FINAL).title)
            bars.insert(place, ("Distilled, pruned at once", point.accuracy, "#D55E00"))
        _bars(quality, bars, 1.0, lambda share: f"{share:.1%}")
        quality.set(title="Accuracy on the test images", xticks=(0, 0.25, 0.5, 0.75, 1))
        _percent(quality, "x")

    def paint_speed(axes: list[Axes]) -> None:
        (speed,) = axes
        times = [
            (ENGINE_NAMES[engine], found.median, colour)
            for engine, colour in ENGINE_COLOURS.items()
            if (found := report.speed.latency(FINAL, engine))
        ]
        _bars(speed, times, max((ms for _, ms, _ in times), default=1.0), lambda ms: f"{ms:.3g} ms")
        speed.set(title=f"{report.stage(FINAL).title}: ms per image")

    return _draw(4.8, 3.0, 1, paint_quality), _draw(4.8, 3.0, 1, paint_speed)


def _bars(
    axis: Axes, bars: list[tuple[str, float, str]], longest: float, text: Callable[[float], str]
) -> None:
    """Horizontal bars (name, value, colour), the first on top, each with its value written behind it."""
    for y, (_, value, colour) in enumerate(bars):
        axis.barh(y, value, color=colour, height=0.62)
        axis.text(value + longest * 0.02, y, text(value), va="center")
    axis.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    axis.set(xlim=(0, longest * 1.25), ylim=(len(bars) - 0.5, -0.5))
    axis.grid(visible=False, axis="y")


def accuracy_curve(report: Report) -> str:
    """Accuracy and macro F1 against one-shot sparsity, the published curve and the fine-tuned student."""

    def paint(axes: list[Axes]) -> None:
        axis = axes[0]
        x = [p.sparsity for p in report.accuracy_curve]
        paper = ACCURACY_AT_SPARSITY
        axis.plot(list(paper), list(paper.values()), "--", color="#9aa5b1", label="paper, table 1: accuracy")
        axis.plot(x, [p.accuracy for p in report.accuracy_curve], "o-", color="#0072B2", label="accuracy")
        axis.plot(x, [p.macro_f1 for p in report.accuracy_curve], "s-", color="#CC79A7", label="macro F1")
        tuned = report.stage("distilled-pruned")
        axis.plot(
            [tuned.sparsity],
            [tuned.scores.macro_f1],
            "*",
            markersize=13,
            color="#CC79A7",
            markeredgecolor="white",
            label="macro F1 after gradual pruning",
        )
        axis.set(xlabel="sparsity (share of zero weights)", ylim=(0, 1.03), xlim=(-0.02, 1))
        _percent(axis)
        _percent(axis, "x")
        axis.figure.legend(loc="outside upper center", ncols=2, fontsize=8)

    return _draw(4.8, 3.4, 1, paint)


def latency_curve(report: Report) -> str:
    """Milliseconds per image against sparsity, the quartiles as a band."""

    def paint(axes: list[Axes]) -> None:
        axis = axes[0]
        x = [p.sparsity for p in report.latency_curve]
        for engine, colour in ENGINE_COLOURS.items():
            found = [m for p in report.latency_curve for m in p.latencies if m.engine == engine]
            if len(found) == len(x) and found:
                axis.plot(x, [m.median for m in found], "o-", color=colour, label=ENGINE_NAMES[engine])
                axis.fill_between(
                    x, [m.low for m in found], [m.high for m in found], color=colour, alpha=0.15, linewidth=0
                )
        axis.set(xlabel="sparsity (share of zero weights)", ylabel="ms per image", xlim=(-0.02, 1))
        axis.set_ylim(bottom=0)
        _percent(axis, "x")
        axis.legend(loc="best", fontsize=8)

    return _draw(4.8, 3.4, 1, paint)


def latency_bars(report: Report) -> list[str]:
    """Median latency of every engine, with quartiles as whiskers: a picture for each student that was timed."""
    titles = {s.key: s.title for s in report.stages}
    # The teacher has its own scale: beside it the students' bars would vanish.
    groups = [
        s for s in ("distilled", "distilled-pruned") if any(m.stage == s for m in report.speed.latencies)
    ]

    longest = max((m.high for m in report.speed.latencies if m.stage in groups), default=1.0)
    bars = max((sum(m.stage == stage for m in report.speed.latencies) for stage in groups), default=0)

    def paint(stage: str, axes: list[Axes]) -> None:
        (axis,) = axes
        found = [m for m in report.speed.latencies if m.stage == stage][::-1]
        y = range(bars - len(found), bars)
        values = [m.median for m in found]
        errors = [[m.median - m.low for m in found], [m.high - m.median for m in found]]
        colours = [ENGINE_COLOURS[m.engine] for m in found]
        axis.barh(y, values, xerr=errors, color=colours, height=0.62, error_kw={"ecolor": _INK, "lw": 1})
        for i, measured in zip(y, found, strict=True):
            axis.text(measured.high + longest * 0.02, i, f"{measured.median:.3g} ms", va="center")
        axis.set_yticks(list(y), [ENGINE_NAMES[m.engine] for m in found])
        axis.set(
            title=titles[stage], xlim=(0, longest * 1.25), ylim=(-0.6, bars - 0.4), xlabel="ms per image"
        )
        axis.grid(visible=False, axis="y")

    return [_draw(4.8, 2.7, 1, partial(paint, stage)) for stage in groups]


def training_curves(report: Report) -> str:
    """Loss and quality of every stage with a history, epoch by epoch; the schedule's sparsity where there is one."""
    stages = [s for s in report.stages if s.epochs]

    def paint(axes: list[Axes]) -> None:
        for i, stage in enumerate(stages):
            loss, quality = axes[i], axes[len(stages) + i]
            _paint_losses(loss, stage)
            _paint_quality(quality, stage)
            if i:
                quality.set_yticklabels([])
            else:
                loss.set_ylabel("loss")
        named = {
            label: handle
            for axis in axes[len(stages) :]
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        axes[0].figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=2, fontsize=8)

    return _draw(9.6, 3.9, len(stages), paint, rows=2)


def _columns(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _narrow(title: str) -> str:
    """In two lines, so that it does not touch its neighbours'."""
    return title.replace(" + ", "\n+ ")


def _paint_losses(axis: Axes, stage: Stage) -> None:
    x = [e.epoch for e in stage.epochs]
    axis.plot(x, [e.train_loss for e in stage.epochs], "o-", color="#52606d")
    axis.set(title=_narrow(stage.title), ylim=(0, 1.08 * max(e.train_loss for e in stage.epochs)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0f}" if v == int(v) else ""))


def _paint_quality(axis: Axes, stage: Stage) -> None:
    scored = [(e.epoch, e.macro_f1) for e in stage.epochs if e.macro_f1 is not None]
    axis.plot(*_columns(scored), "o-", color="#CC79A7", label="macro F1")
    if any(e.sparsity for e in stage.epochs):
        x = [e.epoch for e in stage.epochs]
        axis.plot(x, [e.sparsity for e in stage.epochs], "^:", color="#009E73", label="sparsity")
    axis.set(xlabel="epoch", ylim=(0, 1.03))
    _percent(axis)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0f}" if v == int(v) else ""))


def confusion_matrices(report: Report) -> str:
    """One matrix per stage: rows are the truth, columns the prediction, colour the share of the row."""

    def paint(axes: list[Axes]) -> None:
        count = len(report.data.classes)
        for i, (axis, stage) in enumerate(zip(axes, report.stages, strict=True)):
            rows = stage.scores.confusion
            shares = [[cell / max(sum(row), 1) for cell in row] for row in rows]
            axis.imshow(shares, cmap="Blues", vmin=0, vmax=1.25)
            for true in range(count):
                for guess in range(count):
                    ink = (
                        "white" if shares[true][guess] > 0.75 else (_INK if rows[true][guess] else "#b0b8c1")
                    )
                    axis.text(
                        guess, true, str(rows[true][guess]), ha="center", va="center", color=ink, fontsize=8
                    )
            names = [name.replace("uncovered_", "").replace("_and_", "+") for name in report.data.classes]
            axis.set_xticks(range(count), names, rotation=40, ha="right", fontsize=7.5)
            axis.set_yticks(range(count), names if i == 0 else [""] * count, fontsize=7.5)
            axis.set(title=_narrow(stage.title), xlabel="predicted", ylabel="true" if i == 0 else "")
            axis.grid(visible=False)

    return _draw(9.6, 2.9, len(report.stages), paint)


def size_against_quality(report: Report) -> str:
    """Macro F1 of every stored file against its bytes, the teacher's fp32 weights at the far end."""

    def paint(axes: list[Axes]) -> None:
        axis = axes[0]
        teacher = report.stage("teacher")
        axis.plot(
            [report.teacher_bytes], [teacher.scores.macro_f1], "D", color="#52606d", label=teacher.title
        )
        colours = {"scratch": "#E69F00", "scratch-pruned": "#D55E00", "distilled": "#56B4E9"}
        for stage in report.stages:
            files = sorted((f for f in report.files if f.stage == stage.key), key=lambda f: f.bytes)
            if files:
                axis.plot(
                    [f.bytes for f in files],
                    [f.scores.macro_f1 for f in files],
                    "o-",
                    color=colours.get(stage.key, "#009E73"),
                    label=stage.title,
                )
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v / 1000:,.0f}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set(
            xlabel="thousands of bytes (logarithmic; the fewer bits, the further left)", ylabel="macro F1"
        )
        _percent(axis)
        axis.legend(fontsize=8)
        axis.spines["left"].set_color(_FAINT)

    return _draw(4.8, 3.4, 1, paint)
