"""The plan: everything an engine needs to run a network on one machine, as plain values.

Making one is ``make.make_plan``; nothing here imports the planner, so that a saved plan is loaded without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsenet.graph import TensorInfo
from sparsenet.plan.rings import Ring, ring_memory_bytes
from sparsenet.targets.abi import ROW_BYTES
from sparsenet.targets.registry import Kernel, addresses_of

#: What a profile calls the time in which the first thread waits for others.
WAIT = "barrier"


@dataclass
class Decision:
    """What was chosen for one layer and why, for ``explain``.

    ``format`` is that of the weights, dense, csr or pattern, or none; of a layer in integers with int8 in front.
    """

    layer: str
    op: str
    format: str
    kernel: str
    reason: str
    macs: int = 0
    nnz: int = 0
    weights: int = 0

    @property
    def sparse(self) -> bool:
        """Whether it has weights, and zeros among them take no time."""
        return self.weights > 0 and not self.format.endswith("dense")


@dataclass(frozen=True)
class PlannedStage:
    """A stage of the schedule.

    Attributes:
        layer: the node it belongs to.
        tensor: what it makes.
        units: rows of work; 1 where there are none.
        row_block: rows made by one call.
        kept: rows of its result that have a place in memory at a time; all of them where it is stored whole.
        buffer_bytes: the memory of one thread for those; 0 where the result goes to the caller.
        weight_bytes: packed weights that it streams.
    """

    layer: str
    tensor: str
    units: int
    row_block: int
    kept: int
    buffer_bytes: int
    weight_bytes: int


@dataclass(frozen=True)
class PlannedSegment:
    """Stages that run together, before all threads wait for each other.

    Attributes:
        streamed: whether rows flow from stage to stage; otherwise there is one stage, which makes the whole at once.
        working_set_bytes: one thread's rows and weights that are read again and again: windows between the stages,
            or input and output of a single stage.
        calls: kernel calls of each thread.
    """

    stages: list[PlannedStage]
    streamed: bool
    working_set_bytes: int
    calls: list[int]


@dataclass(frozen=True)
class Plan:
    """A network ready to run on this machine.

    Attributes:
        tapes: per thread int64 (steps, ROW_WORDS); column 0, the kernel's address, is 0 until ``link``. Of several
            threads there is one tape more, for a thread that goes through a section alone.
        kernels: per tape the kernel of every step.
        layers: per tape the node name of every step.
        ends: per section the step of every tape before which it ends; the steps of one thread in it are a
            *share*. The steps of one section rely on all sections before, and on no other share of their own. The
            steps on the tape for one thread alone, where the section has any, do the work of all its shares.
        weights: all packed weights and tables, aligned.
        arena_bytes: working memory of one run, but for the rings.
        rings: the double-mapped ring buffers that hold rows between stages.
        decisions: what was chosen per layer, and why.
        segments: the schedule: which stages run together.
        outputs: what a run writes.
        pointers: of every kernel, which of its tape arguments are pointers.
        counts: how many of the outputs, the last, only hold the dynamic lengths of others.
    """

    tapes: list[npt.NDArray[np.int64]]
    kernels: list[list[Kernel]]
    layers: list[list[str]]
    ends: list[list[int]]
    weights: npt.NDArray[np.uint8]
    arena_bytes: int
    rings: list[Ring]
    decisions: list[Decision]
    segments: list[PlannedSegment]
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    pointers: dict[Kernel, tuple[int, ...]]
    counts: int = 0

    @property
    def threads(self) -> int:
        """Threads that share the work."""
        return max(1, len(self.tapes) - 1)

    @property
    def working_bytes(self) -> int:
        """Working memory of one run at a time, beside weights, inputs and outputs."""
        return self.arena_bytes + ring_memory_bytes(self.rings)

    @property
    def used_kernels(self) -> list[Kernel]:
        """Every kernel on the tapes, each listed once."""
        return list(self.pointers)

    def link(self, addresses: dict[str, int] | None = None) -> None:
        """Write the kernels' addresses into the tapes: those given by name, or else compiled or loaded now."""
        if addresses is None:
            addresses = addresses_of(self.used_kernels)
        for tape, kernels in zip(self.tapes, self.kernels, strict=True):
            tape[:, 0] = [addresses[kernel.name] for kernel in kernels]

    @property
    def timeline(self) -> list[tuple[str, Kernel | None]]:
        """Layer and kernel of all that takes the first thread's time, in order: its steps, and after each section
        a wait for the other threads, where there are any.
        """
        steps: list[tuple[str, Kernel | None]] = list(zip(self.layers[0], self.kernels[0], strict=True))
        if self.threads > 1:
            for first, *_ in reversed(self.ends):
                steps.insert(first, (WAIT, None))
        return steps

    def section_table(self) -> npt.NDArray[np.int64]:
        """The table that ``runtime.team`` runs, per section: how many shares have steps, where in ``timeline`` the
        section begins, then address and number of steps of every thread's share, and of the steps that one thread
        alone runs instead; 0 steps where that thread runs all shares.
        """
        table = np.zeros((len(self.ends), 4 + 2 * self.threads), np.int64)
        before = [0] * len(self.tapes)
        for number, (row, ends) in enumerate(zip(table, self.ends, strict=True)):
            sizes = [end - start for start, end in zip(before, ends, strict=True)]
            row[0] = sum(size > 0 for size in sizes[: self.threads])
            row[1] = before[0] + number
            row[2 : 2 + 2 * len(sizes) : 2] = [
                tape.ctypes.data + ROW_BYTES * start for tape, start in zip(self.tapes, before, strict=True)
            ]
            row[3 : 3 + 2 * len(sizes) : 2] = sizes
            before = ends
        return table
