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

STREAMED, WHOLE, OUTLINE, WEIGHTS = "#1f77b4", "#9aa0a6", "#c9ced6", "#d95f02"
ROW_INCHES = 0.21


def draw(segments: Sequence[PlannedSegment], path: Path, title: str) -> None:
    """Draw one line per stage, top to bottom in the order of the network.

    A bar is the memory that the stage's result has at a time, on a logarithmic axis; its outline is what the whole map
    would take. Stages that stream together are in one box; a red line between two boxes is a barrier.
    """
    lines = sum(len(segment.stages) + 1 for segment in segments)
    figure = Figure(figsize=(6.4, 1.4 + ROW_INCHES * lines), layout="constrained")
    axes = figure.add_subplot()
    sizes = [stage.buffer_bytes for segment in segments for stage in segment.stages if stage.buffer_bytes]
    left, right = min(sizes, default=1e3) / 4, max([*map(_whole_bytes, _stages(segments)), 1e4]) * 400
    y, ticks, labels = 0, [], []
    for number, segment in enumerate(segments):
        top = y
        several = len(segment.calls) > 1
        calls = "+".join(map(str, segment.calls))
        axes.text(
            left * 1.05, y, f"{headline(segment)}, {calls} calls", va="center", fontsize=7, style="italic"
        )
        for stage in segment.stages:
            y += 1
            _stage(axes, stage, y, left, segment.streamed)
            ticks.append(y)
            labels.append(stage.layer)
        y += 1
        if number % 2 == 0:
            axes.axhspan(top - 0.5, y - 0.5, color="#f3f5f8", zorder=0)
        last = number == len(segments) - 1
        axes.axhline(
            y - 0.5, color="#c0392b" if several and not last else "#d8dce2", lw=1.4 if several else 0.8
        )
    axes.set(xscale="log", xlim=(left, right), ylim=(y - 0.5, -0.5), xlabel="memory of one thread")
    axes.set_title(title, fontsize=10)
    axes.xaxis.set_major_formatter(EngFormatter("B"))
    axes.set_yticks(ticks, labels, fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    legend = [
        Patch(color=STREAMED, label="rows kept while they stream"),
        Patch(color=WHOLE, label="map that stands whole"),
        Patch(facecolor="white", edgecolor=OUTLINE, label="the whole map, were it to stand"),
        Patch(color=WEIGHTS, label="weights"),
    ]
    if segments and len(segments[0].calls) > 1:
        legend.append(Patch(color="#c0392b", label="barrier"))
    figure.legend(handles=legend, loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=144)
    write_output(path, buffer.getvalue())


def _stages(segments: Sequence[PlannedSegment]) -> list[PlannedStage]:
    return [stage for segment in segments for stage in segment.stages]


def _whole_bytes(stage: PlannedStage) -> float:
    return stage.buffer_bytes * max(1.0, stage.units / max(1, stage.kept))


def _stage(axes: Axes, stage: PlannedStage, y: int, left: float, streamed: bool) -> None:
    whole, kept = _whole_bytes(stage), stage.buffer_bytes
    sliding = streamed and stage.kept < stage.units
    if sliding:
        axes.barh(y, whole - left, left=left, height=0.72, facecolor="white", edgecolor=OUTLINE, zorder=1)
    if kept:
        axes.barh(y, kept - left, left=left, height=0.72, color=STREAMED if sliding else WHOLE, zorder=2)
    if stage.weight_bytes > left:
        axes.barh(y + 0.26, stage.weight_bytes - left, left=left, height=0.2, color=WEIGHTS, zorder=3)
    rows = (
        f"{stage.kept} of {stage.units} rows" if sliding else f"{stage.units} rows" if stage.units > 1 else ""
    )
    text = [
        rows,
        f"{stage.row_block} per call" if stage.units > 1 else "",
        f"{kept / 1e3:,.0f} kB" if kept else "",
    ]
    axes.text(
        max(whole, stage.weight_bytes, left) * 1.15,
        y,
        ", ".join(filter(None, text)),
        va="center",
        fontsize=6.5,
    )
