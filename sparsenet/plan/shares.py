"""How threads share the work of a stage that runs by itself: its rows, or blocks of its output channels."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.plan.layout import Folded, FoldedPhases
from sparsenet.plan.segments import Segment
from sparsenet.plan.stage import Span, Stage


class Shares:
    """Which stages of ``segments`` are shared by output channels, and who makes which.

    It is known before anything is traced, so that weights can be packed for each thread.
    """

    def __init__(self, segments: Sequence[Segment], threads: int) -> None:
        self.threads = threads
        self._by_lots: set[Stage | None] = set()
        for segment in segments:
            if threads > 1 and not segment.streamed and self._better_by_lots(segment.stages[0]):
                self._by_lots.add(segment.stages[0])

    def _better_by_lots(self, stage: Stage) -> bool:
        if isinstance(stage.out.layout, Folded | FoldedPhases):
            return True  # a row's last vector reaches into the next row
        if stage.channelwise and stage.needs(0, 1)[0][0].root.producer in self._by_lots:
            return True  # its input's channels are still in the cache of the thread that made them
        calls = -(-stage.units // stage.band)
        return stage.sums_units or (calls < 4 * self.threads and calls % self.threads != 0)

    def by_lots(self, stage: Stage) -> bool:
        """Whether threads share the output channels of ``stage`` and not its rows."""
        return stage in self._by_lots

    def lots(self, stage: Stage, thread: int) -> Span:
        """The blocks of output channels that this thread makes of the units that it does."""
        if stage not in self._by_lots:
            return 0, stage.lots
        return stage.lots * thread // self.threads, stage.lots * (thread + 1) // self.threads

    def all_lots(self, stage: Stage) -> list[Span]:
        """The blocks of every thread that has some, each once."""
        spans = dict.fromkeys(self.lots(stage, thread) for thread in range(self.threads))
        return [span for span in spans if span[0] < span[1]]
