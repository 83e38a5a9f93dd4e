"""A plan under construction: what the builders of all targets hold and record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Graph, Node, Shape
from sparsenet.limits import Budget
from sparsenet.plan.plan import Decision
from sparsenet.targets.registry import Kernel

Place = TypeVar("Place")
T = TypeVar("T")
B = TypeVar("B")
#: Writes a node into the plan that a builder of type ``B`` collects.
Lowering = Callable[[B, Node], None]


@dataclass
class LoweringBuilder(ABC, Generic[Place]):
    """Collects the plan of one graph; a lowering function ``f(builder, node)`` writes its node into it.

    Attributes:
        graph, shapes: what is planned, and the shape of each of its tensors.
        layer: the node that is being lowered.
        decisions: what was chosen for each node, and why.
    """

    graph: Graph
    shapes: dict[str, Shape]
    layer: str = field(default="", kw_only=True)
    decisions: list[Decision] = field(default_factory=list, kw_only=True)
    _budget: Budget = field(default_factory=lambda: Budget("packed weights of the network"), init=False)
    _made: dict[Hashable, tuple[npt.NDArray[Any], Any]] = field(default_factory=dict, init=False)
    _placed: dict[int, tuple[npt.NDArray[Any], Place]] = field(default_factory=dict, init=False)

    @property
    @abstractmethod
    def batch(self) -> int:
        """Images of one inference."""

    @abstractmethod
    def _place(self, array: npt.NDArray[Any]) -> Place:
        """Put a contiguous array among the constants of the plan."""

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of ``tensor`` with the batch in numbers; a constant's own."""
        return tuple(self.batch if size is None else size for size in self.shapes[tensor])

    def image_shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of one image of ``tensor``: without the batch."""
        return self.shape(tensor)[1:]

    def once(self, make: Callable[..., T], matrix: npt.NDArray[Any], *arguments: Any) -> T:
        """``make(matrix, *arguments)``, made once however many layers share these weights.

        Args:
            make: a function of the module, whose result nobody changes.
            matrix: a constant of the graph, or what ``once`` made of one: known by identity.
            arguments: arrays among them are known by their values.
        """
        key = (make, id(matrix), *map(_known_by, arguments))
        if key not in self._made:
            # With the matrix, so that its id stays its own.
            self._made[key] = (matrix, make(matrix, *arguments))
        result: T = self._made[key][1]
        return result

    def constant(self, array: npt.NDArray[Any]) -> Place:
        """Put packed weights or a table among the constants of the plan; the same array is placed once.

        Raises:
            MemoryLimitError: with the others it takes more than ``limits.memory_limit``.
        """
        if id(array) not in self._placed:
            self._budget.take(array.nbytes)
            self._placed[id(array)] = (array, self._place(np.ascontiguousarray(array)))
        return self._placed[id(array)][1]

    def table(self, numbers: npt.ArrayLike) -> Place:
        """Put int32 numbers among the constants of the plan."""
        return self.constant(np.asarray(numbers, np.int32))

    def decide(
        self,
        node: Node,
        weight_format: str,
        kernel: Kernel,
        reason: str = "the only kernel for this op",
        **counts: int,
    ) -> None:
        """Record the choice made for ``node``."""
        self.decisions.append(Decision(node.name, node.op, weight_format, kernel.name, reason, **counts))


def _known_by(argument: Any) -> Hashable:
    if isinstance(argument, np.ndarray):
        return argument.shape, argument.dtype.str, argument.tobytes()
    return tuple(argument) if isinstance(argument, list) else argument
