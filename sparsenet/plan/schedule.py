"""Descriptions of the segments of a schedule, for people: the planner itself never reads them."""

from __future__ import annotations

from collections.abc import Mapping

from sparsenet.plan.layout import Plain
from sparsenet.plan.memory import Rows
from sparsenet.plan.plan import PlannedSegment, PlannedStage
from sparsenet.plan.segments import Segment
from sparsenet.plan.stage import Value


def describe(segment: Segment, windows: Mapping[Value, Rows], calls: list[int]) -> PlannedSegment:
    """Describe a traced segment.

    Args:
        windows: where the values of its stages were stored on the first thread.
        calls: kernel calls of each thread.
    """
    stages, working_set = [], 0
    for stage in segment.stages:
        value, layout = stage.out, stage.out.layout
        window, kept = windows.get(value), stage.units if isinstance(layout, Plain) else layout.height
        size = 0 if value.fixed is not None else value.size_bytes
        if window is not None and window.capacity is not None and not isinstance(layout, Plain):
            kept = window.capacity
            size = kept * layout.row_bytes
            working_set += size
        working_set += stage.weight_bytes
        stages.append(
            PlannedStage(
                stage.layer, value.tensor, stage.units, stage.row_block, kept, size, stage.weight_bytes
            )
        )
    if not segment.streamed:
        stage = segment.stages[0]
        read = {value.root for value, _, _ in stage.needs(0, stage.units)}
        working_set += sum(value.size_bytes for value in {*read, stage.out})
    return PlannedSegment(stages, segment.streamed, working_set, calls)
