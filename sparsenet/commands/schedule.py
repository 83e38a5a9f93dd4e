"""The schedule of a plan as text."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.plan.plan import PlannedSegment
from sparsenet.text.table import render

COLUMNS = ("layer", "makes", "rows", "per call", "kept", "buffer kB", "weights kB")


def schedule_text(segments: Sequence[PlannedSegment]) -> str:
    """One table per segment under a line that sums it up; all threads wait for each other between two."""
    parts = []
    for number, segment in enumerate(segments, 1):
        calls = ", ".join(f"{count:,}" for count in segment.calls)
        several = " per thread" if len(segment.calls) > 1 else ""
        rows = [
            (
                stage.layer,
                stage.tensor,
                stage.units,
                stage.row_block,
                stage.kept,
                stage.buffer_bytes / 1e3 or None,
                stage.weight_bytes / 1e3 or None,
            )
            for stage in segment.stages
        ]
        parts.append(
            f"segment {number}: {headline(segment)}, calls{several}: {calls}\n{render(COLUMNS, rows)}"
        )
    between = "\n\n--- all threads wait ---\n\n" if segments and len(segments[0].calls) > 1 else "\n\n"
    return between.join(parts)


def headline(segment: PlannedSegment) -> str:
    """One line on how a segment runs and what it wants to find in the cache."""
    stages = len(segment.stages)
    how = f"{stages} stages, streamed" if segment.streamed else "whole"
    return f"{how}, working set {segment.working_set_bytes / 1e3:,.0f} kB"
