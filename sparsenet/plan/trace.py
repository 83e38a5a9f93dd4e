"""Demand-driven scheduling with a sliding window (Halide's ``compute_at``): the order of all kernel calls.

The stages at the end of a segment are asked for their rows in order; each asks its inputs for the rows it needs, and
every kernel call is written to the tape as it happens. What comes out is a depth-first order in which a row is read
while it is still in the cache, for any graph. Rows between the layers of a segment live in a *window*: a ring as large
as the rows alive at once (see ``ring_memory``), or, where rings are not available, a buffer somewhat larger whose live
rows move back to its front when it is full. Either way a kernel reads at constant offsets.

Every thread traces its own share of the rows, with windows of its own; rows at the seam that both need are computed
twice, which costs less than waiting. A segment begins when all shares of the one before have ended. A thread that is
alone need not do so: for segments through which rows flow, one more tape has steps without seams, with equal results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sparsenet.plan.assemble import Step
from sparsenet.plan.layout import Flattened, FlattenedStrideToDepth, Plain, StrideToDepth
from sparsenet.plan.memory import SLACK_BYTES, Memory, Rows, moment, ring_rows
from sparsenet.plan.plan import PlannedSegment
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.relayout import fill
from sparsenet.plan.schedule import describe
from sparsenet.plan.segments import Segment, readers
from sparsenet.plan.shares import Shares
from sparsenet.plan.stage import Span, Stage, Value
from sparsenet.targets.registry import Kernel

#: The algorithm of the kernels that move rows and add partial sums.
COPY = "copy_none_flat"


@dataclass
class Trace:
    """The steps of every thread, with several also of a thread that is alone, and the buffers that the steps use."""

    shares: Shares
    tapes: list[list[Step]]
    memory: Memory = field(default_factory=Memory)
    homes: dict[Value, Rows | int] = field(default_factory=dict)
    ends: list[list[int]] = field(default_factory=list)
    rings: bool = False
    segments: list[PlannedSegment] = field(default_factory=list)

    def end_section(self) -> None:
        """End the section: what follows on any tape waits for all calls that are on the tapes so far."""
        ends = [len(tape) for tape in self.tapes]
        if len(self.tapes) == 1:
            self.ends = [ends]
        elif ends != (self.ends[-1] if self.ends else [0] * len(ends)):
            self.ends.append(ends)


def trace(segments: Sequence[Segment], shares: Shares, rings: bool) -> Trace:
    """Trace the steps of all threads; ``rings``: whether windows may be ring buffers."""
    threads = shares.threads
    result = Trace(shares, [[] for _ in range(threads + (threads > 1))], rings=rings)
    stages = [stage for segment in segments for stage in segment.stages]
    table = readers(stages)
    number = {stage: i for i, segment in enumerate(segments) for stage in segment.stages}
    for i, segment in enumerate(segments):
        inside = {
            stage.out
            for stage in segment.stages
            if stage.out.by_rows and all(number[reader] == i for reader in table.get(stage.out, []))
        }
        for stage in segment.stages:
            if stage.out not in inside and stage.out.fixed is None:
                last = max((number[reader] for reader in table.get(stage.out, [])), default=i)
                _give_home(result, stage, i, last)
        walkers = [_Walker(result, segment, i, inside, table, t) for t in range(threads)]
        before = [len(tape) for tape in result.tapes]
        for walker in walkers:
            walker.walk()
        if threads > 1 and segment.streamed:
            alone = _Walker(result, segment, i, inside, table, threads)
            alone.parts = {s: [part for w in walkers for part in w.parts.get(s, ())] for s in segment.stages}
            alone.walk()
        calls = [len(tape) - start for tape, start in zip(result.tapes, before, strict=True)]
        result.segments.append(describe(segment, walkers[0].windows, calls[:threads]))
        result.end_section()
        _merge_sums(result, segment, walkers)
    return result


def _give_home(result: Trace, stage: Stage, first: int, last: int) -> None:
    """Allocate a buffer for a whole value, which is read from segment ``first`` to ``last``.

    Lines before and after its rows are zeroed, as left halo and halo rows.
    """
    value, layout = stage.out, stage.out.layout
    first, last = moment(first), moment(last, alone=True)
    if isinstance(layout, Plain):
        result.homes[value] = result.memory.new(layout.size_bytes, first, last, stage.layer)
        return
    if isinstance(layout, Flattened | FlattenedStrideToDepth):
        buffer = result.memory.new(layout.buffer_bytes(layout.height), first, last, stage.layer)
        result.homes[value] = Rows(value, buffer, 0, 0, layout.height)
        return
    rows = layout.top + layout.height + layout.bottom
    buffer = result.memory.new(layout.buffer_bytes(rows), first, last, stage.layer)
    result.homes[value] = Rows(value, buffer, -layout.top, -layout.top, layout.height + layout.bottom)


def _merge_sums(result: Trace, segment: Segment, walkers: Sequence[_Walker]) -> None:
    """Add up the partial sums that threads made of one stage's units."""
    for stage in segment.stages:
        partial = [out for walker in walkers for _, out in walker.parts.get(stage, ())]
        if not partial:
            continue
        walker, layout, home = walkers[0], stage.out.layout, result.homes[stage.out]
        assert isinstance(layout, Plain)
        assert isinstance(home, int)
        walker.layer, out = stage.layer, Ref("arena", home, layout.front_bytes)
        if partial[0] != out:
            walker.call(layout.vector.kernel(COPY), x=partial[0], size=layout.size, out=out)
        for other in partial[1:]:
            kernel = layout.vector.kernel(COPY, epilogue=("add",))
            residual: dict[str, Word] = {
                "residual.0": other,
                "residual_row.0": 0,
                "residual_channel.0": layout.itemsize,
            }
            walker.call(kernel, x=out, size=layout.size, out=out, **residual)
        result.end_section()


class _Walker:
    """Traces one thread through one segment; also the ``Emitter`` that stages write to.

    Thread number ``threads`` is the one that is alone. It makes the same partial sums as the others: ``parts`` of a
    stage that sums its units are their first units, and where their sums are stored.
    """

    def __init__(
        self, result: Trace, segment: Segment, number: int, inside: set[Value], table: dict[Value, list[Stage]],
        thread: int,
    ) -> None:  # fmt: skip
        self.result, self.segment, self.number, self.inside = result, segment, number, inside
        self.thread, self.threads = thread, result.shares.threads
        self.alone = thread == self.threads
        self.moment = moment(number, alone=self.alone)
        self.layer = ""
        self.parts: dict[Stage, list[tuple[int, Ref]]] = {}
        self.windows: dict[Value, Rows] = {}
        self.next: dict[Stage, int] = {}
        self.spans, self.row_spans = result.shares.spans(segment, inside, thread)
        own = set(segment.stages)
        self.readers = {value: [s for s in table.get(value, []) if s in own] for value in inside}
        self._dry = False

    # --- Emitter

    def call(self, kernel: Kernel, **arguments: Word) -> None:
        self.result.tapes[self.thread].append(Step(kernel, arguments, self.layer))

    def row(self, value: Value, y: int) -> Ref:
        window = self.windows.get(value)
        if window is None:
            home = self.result.homes[value]
            assert isinstance(home, Rows)
            window = home
        return window.at(y)

    def whole(self, value: Value) -> Ref:
        root = value.root
        if root.fixed is not None:
            return root.fixed
        stage = root.producer
        if stage is not None and self.parts.get(stage):
            return max(part for part in self.parts[stage] if part[0] <= self.next[stage])[1]
        home = self.result.homes[root]
        assert isinstance(home, int)
        return Ref("arena", home, root.layout.front_bytes)

    def begun(self, stage: Stage) -> bool:
        return self.next[stage] not in (
            self.spans[stage][0],
            *(first for first, _ in self.parts.get(stage, ())),
        )

    # --- walking

    def walk(self) -> None:
        """Write this thread's steps of the segment."""
        if not self.segment.streamed:
            self._whole_stage(self.segment.stages[0])
            return
        for stage in self.segment.stages:
            if stage.sums_units and stage in self.spans and self.threads > 1 and not self.alone:
                assert isinstance(stage.out.layout, Plain)
                home = self.result.homes[stage.out]
                assert isinstance(home, int)
                if self.thread > 0:
                    home = self.result.memory.new(
                        stage.out.layout.size_bytes, self.moment, moment(self.number, alone=True), stage.layer
                    )
                self.parts[stage] = [(self.spans[stage][0], Ref("arena", home, stage.out.layout.front_bytes))]
        self._open_windows()
        self._dry = True
        self._stream()
        self._size_windows()
        self._dry = False
        self._stream()

    def _whole_stage(self, stage: Stage) -> None:
        if stage.out in self.inside:
            return  # nobody reads it
        blocks = self.result.shares.blocks(stage, self.thread)
        if self.result.shares.by_channels(stage):
            span = (0, stage.units) if blocks[0] < blocks[1] else (0, 0)
        elif stage in self.spans:
            span = self.spans[stage]
        else:
            return
        self.layer = stage.layer
        self.spans[stage], self.next[stage] = span, span[0]
        if span[0] < span[1]:
            self._zero_outside(stage, blocks)
            stage.emit(self, *span, blocks)

    def _zero_outside(self, stage: Stage, blocks: Span) -> None:
        """Write what stands for 0 before the first line and in the halo rows of a value that is kept whole."""
        layout, zero = stage.out.layout, stage.out.zero
        if isinstance(layout, Plain | FlattenedStrideToDepth) or stage.out.fixed is not None:
            return
        home = self.result.homes[stage.out]
        assert isinstance(home, Rows)
        first, last = self.spans[stage]
        if isinstance(layout, Flattened):
            if blocks[0] == 0:
                fill(self, layout.vector, Ref("arena", home.buffer), layout.front_bytes, zero)
            if not stage.as_line:
                channels = stage.channels_of(blocks) if stage.channel_blocks > 1 else (0, layout.channels)
                size = (channels[1] - channels[0]) * layout.channel_bytes
                fill(self, layout.vector, home.at(0) + channels[0] * layout.channel_bytes, size, zero)
            return
        if first == 0 and blocks[0] == 0 and (layout.top or layout.side):
            size = layout.front_bytes + layout.top * layout.row_bytes
            fill(self, layout.vector, Ref("arena", home.buffer), size, zero)
        if last == stage.units and blocks[1] == stage.channel_blocks and layout.bottom:
            fill(self, layout.vector, home.at(layout.height), layout.bottom * layout.row_bytes, zero)

    def _open_windows(self) -> None:
        for stage in self.segment.stages:
            value = stage.out
            if value.by_rows and value in self.row_spans:
                first, last = self.row_spans[value]
                self.windows[value] = Rows(value, -1, first, first, last, sliding=value in self.inside)

    def _size_windows(self) -> None:
        for value, window in self.windows.items():
            layout, stage = value.layout, value.producer
            assert not isinstance(layout, Plain)
            assert stage is not None
            if not window.sliding:
                home = self.result.homes[value]
                assert isinstance(home, Rows)
                first, last = self.row_spans[value]
                self.windows[value] = Rows(value, home.buffer, home.base, first, last)
                continue
            span = window.stop - window.base
            ring = ring_rows(layout.row_bytes, window.most)
            if self.result.rings and ring < span:
                number = self.result.memory.new_ring(ring * layout.row_bytes, self.moment)
                self.windows[value] = Rows(
                    value, number, window.base, window.base, window.stop, ring, 0, True, True
                )
                continue
            slack = max(stage.row_block, SLACK_BYTES // layout.row_bytes)
            capacity = min(window.most + slack, span)
            size = layout.buffer_bytes(capacity)
            buffer = self.result.memory.new(size, self.moment, self.moment, stage.layer)
            self.windows[value] = Rows(
                value, buffer, window.base, window.base, window.stop, capacity, 0, True
            )

    def _stream(self) -> None:
        """Ask the stages at the end of the segment for all their rows, in step with each other."""
        self.next = {stage: span[0] for stage, span in self.spans.items()}
        if not self._dry:
            for value, window in self.windows.items():
                layout = value.layout
                assert not isinstance(layout, Plain | FlattenedStrideToDepth)
                if not layout.side or (not window.sliding and window.done == -layout.top):
                    continue  # no halo, or filled with the halo rows
                assert not isinstance(layout, StrideToDepth)
                # The row before, of a map that is kept whole, is another thread's, except for the zeros at its end.
                before = layout.front_bytes
                if not window.sliding:
                    before = layout.itemsize * (layout.line - layout.width)
                self.layer = value.producer.layer if value.producer else ""
                fill(self, layout.vector, window.at(window.done) + -before, before, value.zero)
        ends = [
            stage for stage in self.segment.stages if stage.out not in self.inside and stage in self.spans
        ]
        if not self._dry:
            for stage in ends:
                self.layer = stage.layer
                self._zero_outside(stage, (0, stage.channel_blocks))
        steps = max((self.spans[s][1] - self.spans[s][0] for s in ends), default=0)
        for step in range(1, steps + 1):
            for stage in ends:
                first, last = self.spans[stage]
                self._advance(stage, first + -(-(last - first) * step // steps))

    def _advance(self, stage: Stage, until: int) -> None:
        """Run units of ``stage`` until those below ``until`` are done."""
        while self.next[stage] < until:
            first = self.next[stage]
            later = [start for start, _ in self.parts.get(stage, ()) if start > first]
            last = min([first + stage.streamed_rows, self.spans[stage][1], *later])
            for value, _, high in stage.needs(first, last):
                if value in self.windows:
                    self._make(self.windows[value], high)
            if stage.out in self.windows:
                self._make_room(self.windows[stage.out], last - first)
            if not self._dry:
                self.layer = stage.layer
                before = len(self.result.tapes[self.thread])
                stage.emit(self, first, last, (0, stage.channel_blocks))
                if stage.out in self.windows and self.windows[stage.out].written_before(first):
                    self._keep_halo(before)
            self.next[stage] = last
            if stage.out in self.windows:
                self.windows[stage.out].done = last

    def _keep_halo(self, first_step: int) -> None:
        """Keep the last steps from writing the zeros behind lines: earlier rows in the same place left them."""
        for step in self.result.tapes[self.thread][first_step:]:
            if "halo_vectors" in step.arguments:
                step.arguments["halo_vectors"] = 0

    def _make(self, window: Rows, until: int) -> None:
        """Make rows of a sliding window until those below ``until`` exist; rows outside the image are zeros."""
        stage, layout = window.value.producer, window.value.layout
        assert stage is not None
        assert not isinstance(layout, Plain)
        while window.done < until:
            first, last = self.spans[stage]
            if first <= window.done < last:
                self._advance(stage, window.done + 1)
                continue
            rows = (min(0, until) if window.done < 0 else until) - window.done
            self._make_room(window, rows)
            if not self._dry and window.sliding:  # halo rows of whole values are filled once
                self.layer = stage.layer
                size = rows * layout.row_bytes
                fill(self, layout.vector, window.at(window.done), size, window.value.zero)
            window.done += rows

    def _make_room(self, window: Rows, rows: int) -> None:
        """Make room for ``rows`` more rows, moving the live ones to the front if they do not fit."""
        if not window.sliding or window.ring:
            return
        low = self._oldest_needed(window)
        window.most = max(window.most, window.done + rows - low)
        if window.capacity is None or window.done + rows - window.base <= window.capacity:
            return
        layout = window.value.layout
        assert not isinstance(layout, Plain)
        assert window.done + rows - low <= window.capacity
        source = window.at(low)
        window.base = low
        if window.done > low and not self._dry:
            assert window.value.producer is not None
            self.layer = window.value.producer.layer
            size = (window.done - low) * layout.row_bytes // layout.itemsize
            self.call(layout.vector.kernel(COPY), x=source, size=size, out=window.at(low))

    def _oldest_needed(self, window: Rows) -> int:
        """The first row that a reader still needs."""
        low = window.done
        for reader in self.readers[window.value]:
            if reader in self.spans and self.next[reader] < self.spans[reader][1]:
                unit = self.next[reader]
                low = min(
                    [
                        low,
                        *(first for value, first, _ in reader.needs(unit, unit + 1) if value is window.value),
                    ]
                )
        return low
