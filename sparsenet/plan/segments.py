"""Cutting the stages into segments: runs of layers through which rows stream while they are in the cache."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from sparsenet.plan.layout import Flattened, FlattenedStrideToDepth
from sparsenet.plan.stage import Stage, Value
from sparsenet.targets.target import Target

#: The most stages of a segment: the trace recurses from stage to stage, two Python frames each, and rows of more layers
#: would not stay in the cache anyway.
MOST_STAGES = 120


@dataclass
class Segment:
    """Stages that run together; a segment of one stage makes its value as a whole."""

    stages: list[Stage]

    @property
    def streamed(self) -> bool:
        """Whether rows flow through several layers."""
        return len(self.stages) > 1


def cut(stages: Sequence[Stage], stream: bool, target: Target) -> list[Segment]:
    """Cut ``stages``, in topological order, into segments: each as long as its maps are too large for the cache.

    A stage joins the segment before it if it reads one of its maps row by row, that map is large, and the weights of
    the whole segment stay in the cache.
    """
    segments: list[Segment] = []
    made: set[Value] = set()  # by the last segment
    weights = 0
    for stage in stages:
        weights += stage.weight_bytes
        if (
            stream
            and segments
            and len(segments[-1].stages) < MOST_STAGES
            and _joins(stage, made, weights, target)
        ):
            segments[-1].stages.append(stage)
        else:
            segments.append(Segment([stage]))
            made, weights = set(), stage.weight_bytes
        made.add(stage.out.root)
    return segments


def _joins(stage: Stage, made: Set[Value], weights: int, target: Target) -> bool:
    inside = {value.root for value, _, _ in stage.needs(0, stage.units)} & made
    return (
        stage.units > 1
        and not isinstance(stage.out.layout, Flattened | FlattenedStrideToDepth)
        and all(value.by_rows for value in inside)
        and any(value.size_bytes >= target.whole_map_bytes for value in inside)
        and weights <= target.streamed_weight_bytes
    )


def readers(stages: Sequence[Stage]) -> dict[Value, list[Stage]]:
    """The stages that read each value."""
    table: dict[Value, list[Stage]] = {}
    for stage in stages:
        for value in dict.fromkeys(value.root for value, _, _ in stage.needs(0, stage.units)):
            table.setdefault(value, []).append(stage)
    return table
