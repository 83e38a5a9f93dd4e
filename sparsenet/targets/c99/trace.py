"""The schedule: demand-driven, one row of a layer at a time, and the memory that it needs.

The stages that make the network's results are asked for their rows in order, and each asks those that it reads from
(Halide's ``compute_at`` with a sliding window). What comes out is a list of stages; how often each stands in it before
says which of its rows it makes. A map has a place for as many rows as are alive at once, row y at ``y % capacity``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparsenet.errors import MemoryLimitError
from sparsenet.limits import require_memory
from sparsenet.plan.arena import Buffer, place
from sparsenet.targets.c99.stage import Stage
from sparsenet.targets.c99.value import Value

#: Rows are counted in 16 bits, bytes in 32.
MOST_ROWS, MOST_NUMBERS = 2**16 - 1, 2**29


@dataclass
class _Alive:
    """What is known of a value's rows: when each was made, and when it is last read."""

    made: list[int]
    last: list[int]


@dataclass(frozen=True)
class Schedule:
    """The calls of one run.

    Attributes:
        stages: those that are needed, in the order of the graph.
        order: of every call the number of its stage.
        values: all that have memory, those in the arena with their place.
        arena_bytes: of all of them.
    """

    stages: list[Stage]
    order: list[int]
    values: list[Value]
    arena_bytes: int


def schedule(stages: Sequence[Stage], results: Sequence[Value]) -> Schedule:
    """Order the calls of ``stages`` so that ``results`` are made, and place all that they read."""
    makers = {stage.out: stage for stage in stages}
    ends = list(dict.fromkeys(makers[value.root] for value in results))
    _require_small(stages)
    order, done = _order(makers, ends)
    used = [stage for stage in stages if done.get(stage)]
    numbers = {stage: number for number, stage in enumerate(used)}
    values = [stage.out for stage in used]
    sources = dict.fromkeys(read.source for stage in used for read in stage.reads)
    views = [source for source in sources if source.viewed is not None]
    fixed = [source for source in sources if source.fixed is not None and source.viewed is None]
    alive = _lifetimes(order, makers, values)
    buffers = []
    for value in values:
        rows = alive[value]
        value.capacity = value.height if value.flat else _most_alive(rows)
        if value.output is None:
            buffer = Buffer(value.buffer_bytes, min(rows.made), max(*rows.last, *rows.made))
            buffers.append((value, buffer))
    # Scratch memory is only used within a call: one piece serves them all.
    scratch = [stage.scratch for stage in used if stage.scratch is not None]
    shared = Buffer(max((value.buffer_bytes for value in scratch), default=0), 0, len(order))
    for value in scratch:
        value.capacity = 1
    buffers += [(value, shared) for value in scratch]
    size = place(list({id(buffer): buffer for _, buffer in buffers}.values()))
    require_memory(size, "the arena")
    for value, buffer in buffers:
        value.offset = buffer.offset
    for value in views:
        value.offset, value.capacity = value.root.offset, value.height
    return Schedule(used, [numbers[stage] for stage in order], [*values, *scratch, *fixed, *views], size)


def _require_small(stages: Sequence[Stage]) -> None:
    """Raise MemoryLimitError unless 16 bits count the rows of every map, and 31 bits its numbers."""
    for stage in stages:
        spans = (max(read.rows, (read.rows - 1) * read.dilation) for read in stage.reads)
        steps = (read.step for read in stage.reads if stage.units > 1)
        rows = max(stage.units, stage.out.height, *spans, *steps, 0)
        if rows > MOST_ROWS or stage.out.size > MOST_NUMBERS:
            raise MemoryLimitError(
                f"'{stage.layer}' makes {stage.out.shape} by steps of up to {rows} rows: C code counts "
                f"{MOST_ROWS} rows and {MOST_NUMBERS} numbers"
            )


def _order(makers: dict[Value, Stage], ends: Sequence[Stage]) -> tuple[list[Stage], dict[Stage, int]]:
    """The calls in order, and the units that each stage does."""
    order: list[Stage] = []
    done: dict[Stage, int] = {}
    most = max(stage.units for stage in ends)
    for step in range(1, most + 1):
        for end in ends:
            _make(end, end.units * step // most, makers, order, done)
    return order, done


def _make(
    end: Stage, until: int, makers: dict[Value, Stage], order: list[Stage], done: dict[Stage, int]
) -> None:
    """Do units of ``end`` until those below ``until`` are done, and first of all stages what they need."""
    asked = [(end, until)]
    while asked:
        stage, until = asked[-1]
        unit = done.get(stage, 0)
        if unit >= until:
            asked.pop()
            continue
        for read in stage.reads:
            if read.value.root.fixed is not None:
                continue
            low, high = read.span(unit)
            maker = makers[read.value.root]
            needed = (
                maker.unit_of(high - 1) + 1 if high > low else 1
            )  # a map has at least one row, read or not
            if done.get(maker, 0) < needed:
                asked.append((maker, needed))
                break
        else:
            order.append(stage)
            done[stage] = unit + 1


def _lifetimes(
    order: Sequence[Stage], makers: dict[Value, Stage], values: Sequence[Value]
) -> dict[Value, _Alive]:
    alive = {value: _Alive([len(order)] * value.height, [-1] * value.height) for value in values}
    done: dict[Stage, int] = {}
    for moment, stage in enumerate(order):
        unit = done[stage] = done.get(stage, -1) + 1
        made = alive[stage.out].made
        for row in [unit] if stage.by_rows else range(len(made) if unit == 0 else 0):
            made[row] = moment
        if not stage.by_rows:  # alive while it is being made
            alive[stage.out].last[0] = moment
        for read in stage.reads:
            root = read.value.root
            if root.fixed is not None:
                continue
            last = alive[root].last
            for row in range(*read.span(unit)):
                last[row] = moment
    return alive


def _most_alive(rows: _Alive) -> int:
    """The most rows from the first that is alive to the one that is being made."""
    most, low = 1, 0
    for row, moment in enumerate(rows.made):
        while low < row and rows.last[low] < moment:
            low += 1
        most = max(most, row - low + 1)
    return most
