"""Plans ready to run: with their tapes' addresses and idle memory, one for each input size that has been met."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt

from sparsenet.errors import GraphError, InputError
from sparsenet.graph import FloatArray, Graph, Shape
from sparsenet.graph.feeds import image_shape
from sparsenet.graph.kept_graph import KeptGraph
from sparsenet.graph.types import F32
from sparsenet.limits import enough_memory, require_memory
from sparsenet.locks import Lock
from sparsenet.plan.plan import Plan
from sparsenet.targets.abi import ARENA, FIRST_TENSOR, WEIGHTS
from sparsenet.targets.cpu.runtime.helping import Helping
from sparsenet.targets.cpu.runtime.ring_memory import Arena
from sparsenet.targets.cpu.runtime.threads import WorkerPool

#: Shapes of all inputs, by name.
Shapes = tuple[tuple[str, Shape], ...]


@dataclass
class Context:
    """The memory of one run: an arena, a table of base addresses, and a place for the time it took.

    Attributes:
        addresses: addresses of the two tables; reading one from an array takes as long as a small layer.
    """

    arena: Arena
    bases: npt.NDArray[np.int64]
    spent: npt.NDArray[np.int64]
    addresses: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.addresses = self.bases.ctypes.data, self.spent.ctypes.data

    def point(self, tensors: Sequence[tuple[int, int]], image: int) -> None:
        """Point the base table at one image of ``tensors``: (address, bytes of one image) of each input and output."""
        for number, (start, size) in enumerate(tensors, FIRST_TENSOR):
            self.bases[number] = start + image * size


@dataclass
class Prepared:
    """A linked plan, its sections, the shapes of one image's outputs, idle contexts, and whether workers are of help.

    Concurrent calls each take a context and put it back. Both are single operations on a list, so neither another
    thread nor an exception can come between; at worst a context is forgotten.
    """

    plan: Plan
    sections: npt.NDArray[np.int64] = field(init=False)
    output_shapes: list[tuple[int, ...]] = field(init=False)
    idle: list[Context] = field(default_factory=list)
    helping: Helping = field(default_factory=Helping)

    def __post_init__(self) -> None:
        self.sections = self.plan.section_table()
        self._address = self.sections.ctypes.data
        self.output_shapes = [image_shape(info) for info in self.plan.outputs]
        self._output_bytes = F32.itemsize * sum(map(prod, self.output_shapes))

    def new_outputs(self, batch: int) -> list[FloatArray]:
        """Allocate arrays for the outputs of ``batch`` images.

        Raises:
            MemoryLimitError: they would take more than ``limits.memory_limit``.
        """
        what = f"the outputs for a batch of {batch}"
        require_memory(batch * self._output_bytes, what)
        try:
            return [np.empty((batch, *shape), F32.dtype) for shape in self.output_shapes]
        except MemoryError:
            with enough_memory(what):
                raise

    def take(self) -> Context:
        """A context that nobody else uses."""
        while True:
            try:
                context = self.idle.pop()
            except IndexError:
                break
            if context.arena.process == os.getpid():
                return context
        arena = Arena(self.plan.arena_bytes + 64, self.plan.rings)
        bases = np.zeros(FIRST_TENSOR + len(self.plan.inputs) + len(self.plan.outputs), np.int64)
        bases[WEIGHTS], bases[ARENA] = self.plan.weights.ctypes.data, arena.address
        return Context(arena, bases, np.zeros(2, np.int64))

    def give_back(self, context: Context) -> None:
        """Let the next run use it."""
        self.idle.append(context)

    def run(self, pool: WorkerPool, context: Context) -> None:
        """Run one image, with the workers' help unless it did not pay lately."""
        ask = self.plan.threads > 1 and self.helping.wanted(time.monotonic())
        self._run(pool, context, ask)
        if self.plan.threads > 1:
            seconds, alone = (context.spent * 1e-9).tolist()
            if alone:
                self.helping.note_helped(time.monotonic(), seconds, alone)
            else:
                self.helping.note_alone(seconds)

    def run_timed(self, pool: WorkerPool, context: Context) -> npt.NDArray[np.int64]:
        """Run one image as ``run`` does; returns the cycles of everything in ``Plan.timeline``."""
        stamps = np.zeros(len(self.plan.timeline) + 1, np.int64)
        self._run(pool, context, True, stamps.ctypes.data)
        return np.diff(stamps)

    def _run(self, pool: WorkerPool, context: Context, ask: bool, stamps: int = 0) -> None:
        pool.run(self._address, len(self.sections), *context.addresses, ask=ask, stamps=stamps)


class OtherSizes:
    """Plans for sizes of open dimensions other than the graph's own, made when first met; the least recent ones go.

    Every plan holds packed weights of its own, so ``most`` of them bounds the memory.
    """

    def __init__(self, source: KeptGraph, make: Callable[[Graph], Plan], most: int) -> None:
        self._source, self._make, self._most = source, make, most
        self._plans: OrderedDict[Shapes, Prepared] = OrderedDict()
        self._lock = Lock()

    def get(self, shapes: Shapes) -> Prepared:
        """The plan for these input shapes.

        Raises:
            InputError: the network cannot take them.
        """
        with self._lock:
            found = self._plans.get(shapes)
            if found is None:
                try:
                    found = Prepared(self._make(self._source.graph().at_shapes(dict(shapes))))
                except GraphError as error:
                    shown = ", ".join(f"'{name}' (N, {', '.join(map(str, s[1:]))})" for name, s in shapes)
                    raise InputError(
                        f"the network cannot take inputs of this size: {shown}: {error}"
                    ) from None
                self._plans[shapes] = found
                while len(self._plans) > self._most:
                    self._plans.popitem(last=False)
            self._plans.move_to_end(shapes)
            return found
