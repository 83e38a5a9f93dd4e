"""Plans ready to run: with their tapes' addresses and idle memory, one for each input size that has been met."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sparsenet.errors import GraphError, InputError
from sparsenet.graph import Graph, Shape
from sparsenet.kept_graph import KeptGraph
from sparsenet.kernels.abi import ARENA, COUNTER, FIRST_TENSOR, WEIGHTS
from sparsenet.locks import Lock
from sparsenet.plan.plan import COUNTER_BYTES, Plan
from sparsenet.plan.ring_memory import Arena

#: Shapes of all inputs, by name.
Shapes = tuple[tuple[str, Shape], ...]


@dataclass
class Context:
    """What one run needs for itself: an arena, the barriers' counter and a table of base addresses."""

    arena: Arena
    counter: npt.NDArray[np.int64]
    bases: npt.NDArray[np.int64]


@dataclass
class Prepared:
    """A linked plan, its tapes, and idle contexts; concurrent calls each take one and put it back."""

    plan: Plan
    tapes: npt.NDArray[np.int64] = field(init=False)
    idle: list[Context] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.tapes = self.plan.tape_table()

    def take(self) -> Context:
        """A context that nobody else uses."""
        with self.lock:
            while self.idle:
                context = self.idle.pop()
                if context.arena.process == os.getpid():
                    return context
        arena = Arena(self.plan.arena_bytes + 64, self.plan.rings)
        counter = np.zeros(COUNTER_BYTES // 8, np.int64)
        bases = np.zeros(FIRST_TENSOR + len(self.plan.inputs) + len(self.plan.outputs), np.int64)
        bases[WEIGHTS], bases[ARENA] = self.plan.weights.ctypes.data, arena.address
        bases[COUNTER] = counter.ctypes.data
        return Context(arena, counter, bases)

    def give_back(self, context: Context) -> None:
        """Let the next run use it."""
        with self.lock:
            self.idle.append(context)


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
