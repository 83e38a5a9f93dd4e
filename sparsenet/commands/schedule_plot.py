"""The schedule of a plan as a picture; needs matplotlib, which the engine does not."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter

from sparsenet.commands.schedule import headline
from sparsenet.io.files import write_output
from sparsenet.plan.plan import PlannedSegment, PlannedStage

STREAMED, WHOLE, OUTLINE, WEIGHTS, BARRIER = "#1f77b4", "#9aa0a6", "#c9ced6", "#d95f02", "#c0392b"
#: So narrow that a phone shows the text in nine pixels.
WIDTH_INCHES, LINE_INCHES, POINTS = 4.4, 0.175, 9
LONGEST_NAME = 29
#: Lines of a stage: its words, its bar.
LINES = 2


def draw(segments: Sequence[PlannedSegment], path: Path, title: str) -> None:
    """Draw a bar per stage, under its words, top to bottom in the order of the network.

    A bar is the memory that the stage's result has at a time, on a logarithmic axis; its outline is what the whole map
    would take. Stages that stream together are in one box; a red line between two boxes is a barrier.
    """
    height = sum(LINES * len(segment.stages) + len(_head(segment)) + 0.4 for segment in segments)
    figure = Figure(figsize=(WIDTH_INCHES, 1.8 + LINE_INCHES * height), layout="constrained")
    axes = figure.add_subplot()
    sizes = [stage.buffer_bytes for segment in segments for stage in segment.stages if stage.buffer_bytes]
    left, right = min(sizes, default=1e3) / 4, max([*map(_whole_bytes, _stages(segments)), 1e4]) * 1.5
    several = any(len(segment.calls) > 1 for segment in segments)
    y = 0.0
    for number, segment in enumerate(segments):
        top = y
        for line in _head(segment):
            y += 1
            _words(axes, y - 0.4, line, style="italic")
        for stage in segment.stages:
            _stage(axes, stage, y, left, segment.streamed)
            y += LINES
        y += 0.4
        if number % 2 == 0:
            axes.axhspan(top, y, color="#f3f5f8", zorder=0)
        if number < len(segments) - 1:
            axes.axhline(y, color=BARRIER if several else "#d8dce2", lw=1.4 if several else 0.8)
    axes.set(xscale="log", xlim=(left, right), ylim=(y, 0))
    axes.set_xlabel("memory of one thread", fontsize=POINTS)
    axes.set_title(title, fontsize=POINTS + 1)
    axes.xaxis.set_major_formatter(EngFormatter("B", sep=" "))
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=POINTS - 1)
    axes.spines[["top", "right"]].set_visible(False)
    legend = [
        Patch(color=STREAMED, label="rows kept"),
        Patch(facecolor="white", edgecolor=OUTLINE, label="of the whole map"),
        Patch(color=WHOLE, label="map kept whole"),
        Patch(color=WEIGHTS, label="weights"),
    ]
    if several:
        legend.append(Patch(color=BARRIER, label="all threads wait"))
    figure.legend(handles=legend, loc="outside lower center", ncols=2, fontsize=POINTS, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=144)
    write_output(path, buffer.getvalue())


def _stages(segments: Sequence[PlannedSegment]) -> list[PlannedStage]:
    return [stage for segment in segments for stage in segment.stages]


def _head(segment: PlannedSegment) -> tuple[str, str]:
    calls = " + ".join(f"{count:,}" for count in segment.calls)
    return headline(segment), f"calls{' of each thread' if len(segment.calls) > 1 else ''}: {calls}"


def _whole_bytes(stage: PlannedStage) -> float:
    return stage.buffer_bytes * max(1.0, stage.units / max(1, stage.kept))


def _stage(axes: Axes, stage: PlannedStage, y: float, left: float, streamed: bool) -> None:
    whole, kept = _whole_bytes(stage), stage.buffer_bytes
    sliding = streamed and stage.kept < stage.units
    rows = f"{stage.kept} of {stage.units} rows" if sliding else f"{stage.units} rows" * (stage.units > 1)
    _words(axes, y + 0.6, _shortened(stage.layer))
    _words(axes, y + 0.6, ", ".join(filter(None, [rows, f"{kept / 1e3:,.0f} kB" if kept else ""])), end=True)
    y += 1.5
    if sliding:
        axes.barh(y, whole - left, left=left, height=0.8, facecolor="white", edgecolor=OUTLINE, zorder=1)
    if kept:
        axes.barh(y, kept - left, left=left, height=0.8, color=STREAMED if sliding else WHOLE, zorder=2)
    if stage.weight_bytes > left:
        axes.barh(y + 0.26, stage.weight_bytes - left, left=left, height=0.28, color=WEIGHTS, zorder=3)


def _words(axes: Axes, y: float, text: str, end: bool = False, style: str = "normal") -> None:
    """Write a line at the left, or at the right end."""
    axes.text(
        0.99 if end else 0.01, y, text, transform=axes.get_yaxis_transform(), va="center",
        ha="right" if end else "left", fontsize=POINTS, style=style,
    )  # fmt: skip


def _shortened(name: str) -> str:
    """A long name without its middle."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"
