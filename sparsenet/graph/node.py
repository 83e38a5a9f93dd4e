"""The parts of a graph: nodes, and what is known of the tensors at its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sparsenet.graph.size_of import Follows
from sparsenet.graph.types import Shape


@dataclass(frozen=True)
class Partial:
    """A dynamic length: only the first elements of an axis are valid, as many as ``count`` says; the rest is padding.

    How many boxes a detector finds, say, is known only when it has run: its tensors have room for the most there can
    be. ``count`` is a tensor of shape (batch, 1).
    """

    axis: int
    count: str = field(compare=False)


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape (batch ``None``) and dtype of a graph input or output.

    ``open`` lists dimensions of an input whose size is only an example: the graph means as much for other sizes. If an
    output is ``partial``, its shape is the largest it can have. Open sizes differ from the example by multiples of
    ``step``.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    open: tuple[int, ...] = ()
    partial: Partial | None = None
    step: int = 1


@dataclass
class Node:
    """One operation.

    ``inputs`` are tensor names; an absent optional input is the empty string. ``attrs`` hold only JSON values.
    ``attrs["epilogue"]`` is a list of fused ops ``[name, *numbers]`` applied in order to the result; ``affine`` (two
    constants: scale, shift) and ``add`` (one activation) take their tensors from the end of ``inputs``, in order.
    ``follows`` says which numbers among the attributes are others where inputs have other sizes.
    """

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any] = field(default_factory=dict)
    follows: Follows = field(default_factory=dict)

    @property
    def output(self) -> str:
        """The only output; every op of today's table has exactly one."""
        return self.outputs[0]

    @property
    def epilogue(self) -> list[list[Any]]:
        """The fused ops: ``[[name, *numbers], ...]`` in execution order."""
        return list(self.attrs.get("epilogue", []))
