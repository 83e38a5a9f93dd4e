"""How threads share the work: by rows or, for a stage that runs by itself, by blocks of its output channels."""

from __future__ import annotations

from collections.abc import Sequence, Set

from sparsenet.plan.layout import Flattened, FlattenedStrideToDepth, Plain
from sparsenet.plan.segments import Segment
from sparsenet.plan.stage import Span, Stage, Value


class Shares:
    """Which thread makes which part of the stages of ``segments``: known before the trace, so that weights can be
    packed.

    Attributes:
        threads: how many share the work.
    """

    def __init__(self, segments: Sequence[Segment], threads: int) -> None:
        self.threads = threads
        self._by_channels: set[Stage | None] = set()
        for segment in segments:
            if threads > 1 and not segment.streamed and self._better_by_channels(segment.stages[0]):
                self._by_channels.add(segment.stages[0])

    def _better_by_channels(self, stage: Stage) -> bool:
        if isinstance(stage.out.layout, Flattened | FlattenedStrideToDepth):
            return True  # a row's last vector reaches into the next row
        if stage.channelwise and stage.needs(0, 1)[0][0].root.producer in self._by_channels:
            return True  # its input's channels are still in the cache of the thread that made them
        calls = -(-stage.units // stage.row_block)
        return stage.sums_units or (calls < 4 * self.threads and calls % self.threads != 0)

    def by_channels(self, stage: Stage) -> bool:
        """Whether threads share the output channels of ``stage`` and not its rows."""
        return stage in self._by_channels

    def blocks(self, stage: Stage, thread: int) -> Span:
        """The blocks of output channels that this thread makes, in the units that it computes."""
        if stage not in self._by_channels:
            return 0, stage.channel_blocks
        first, last = (stage.channel_blocks * t // self.threads for t in (thread, thread + 1))
        return first, last

    def all_blocks(self, stage: Stage) -> list[Span]:
        """The spans of blocks of all threads that have some, each listed once."""
        spans = dict.fromkeys(self.blocks(stage, thread) for thread in range(self.threads))
        return [span for span in spans if span[0] < span[1]]

    def spans(
        self, segment: Segment, inside: Set[Value], thread: int
    ) -> tuple[dict[Stage, Span], dict[Value, Span]]:
        """Units of every stage, and rows of every value (halo rows included), that a thread makes.

        Args:
            inside: the values that no stage outside the segment reads.
            thread: its number, or ``threads`` for one that is alone and makes all.
        """
        spans: dict[Stage, Span] = {}
        wanted: dict[Value, Span] = {}
        for stage in reversed(segment.stages):
            span = wanted.get(stage.out)
            if stage.out not in inside:
                span = _union(span, self._units(stage, thread))
            if span is None or span[0] >= span[1]:
                continue
            wanted[stage.out] = span
            first, last = max(0, span[0]), min(stage.units, span[1])
            spans[stage] = first, last
            if first < last:
                for value, low, high in stage.needs(first, last):
                    wanted[value] = _union(wanted.get(value), (low, high))
        return spans, wanted

    def _units(self, stage: Stage, thread: int) -> Span:
        """A thread's part of the units of a stage at the end of a segment, with the halo rows at its ends."""
        # Whole row blocks where they are many; of few, an uneven share costs more than one cut in two.
        grain = stage.row_block if stage.units >= 16 * stage.row_block * self.threads else 1
        cuts = [round(stage.units * t / self.threads / grain) * grain for t in range(self.threads)]
        cuts.append(stage.units)
        if stage in self._by_channels:
            cuts = [0] + [stage.units] * self.threads
        if thread == self.threads:
            cuts = [*[0] * self.threads, 0, stage.units]
        first, last = cuts[thread], max(cuts[thread], cuts[thread + 1])
        layout = stage.out.layout
        if first < last and not isinstance(layout, Plain | Flattened | FlattenedStrideToDepth):
            first -= layout.top if first == 0 else 0
            last += layout.bottom if last == stage.units else 0
        return first, last


def _union(a: Span | None, b: Span) -> Span:
    if b[0] >= b[1]:
        return a or b
    return b if a is None or a[0] >= a[1] else (min(a[0], b[0]), max(a[1], b[1]))
