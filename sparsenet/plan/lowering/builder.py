"""A plan under construction: what the builders of all targets hold and record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sparsenet.graph import Graph, Node, Shape
from sparsenet.plan.lowering.constants import Constants, Place
from sparsenet.plan.plan import Decision
from sparsenet.targets.registry import Kernel

B = TypeVar("B")
#: The reason for a choice where there was none.
ONLY_KERNEL = "the only kernel for this op"
#: Writes a node into the plan that a builder of type ``B`` collects.
Lowering = Callable[[B, Node], None]


@dataclass
class LoweringBuilder(Constants[Place], ABC, Generic[Place]):
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

    @property
    @abstractmethod
    def batch(self) -> int:
        """Images of one inference."""

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of ``tensor`` with the batch in numbers; a constant's own."""
        return tuple(self.batch if size is None else size for size in self.shapes[tensor])

    def image_shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of one image of ``tensor``: without the batch."""
        return self.shape(tensor)[1:]

    def decide(
        self,
        node: Node,
        weight_format: str,
        kernel: Kernel,
        reason: str = ONLY_KERNEL,
        **counts: int,
    ) -> None:
        """Record the choice made for ``node``."""
        self.decisions.append(Decision(node.name, node.op, weight_format, kernel.name, reason, **counts))
