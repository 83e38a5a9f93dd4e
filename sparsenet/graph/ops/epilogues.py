"""Epilogues: the ops fused behind another, activations and a few that read tensors, and how many there may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sparsenet.graph.ops.activations import ACTIVATIONS
from sparsenet.graph.ops.attribute import MAX_EPILOGUE_ARGUMENTS, MAX_FUSED_OPS


class EpilogueTensor(NamedTuple):
    """A tensor that a fused op reads.

    Attributes:
        name: what kernels call it.
        per_channel: whether it is a constant (C,); if not, it is an activation of the result's shape.
    """

    name: str
    per_channel: bool

    @property
    def arguments(self) -> int:
        """Numbers a kernel is told of it: an address, and of an activation two strides."""
        return 1 if self.per_channel else 3


#: The fused ops that read tensors, which a node has at the end of its inputs, in order.
FUSED_OP_TENSORS: dict[str, tuple[EpilogueTensor, ...]] = {
    "affine": (EpilogueTensor("scale", True), EpilogueTensor("shift", True)),
    "add": (EpilogueTensor("residual", False),),
}


def epilogue_tensors(steps: Sequence[Sequence[Any]]) -> list[tuple[str, EpilogueTensor]]:
    """The tensors that an epilogue reads, in order, each with the op that does."""
    return [(step[0], tensor) for step in steps for tensor in FUSED_OP_TENSORS.get(step[0], ())]


def epilogue_fits(steps: Sequence[Sequence[Any]]) -> bool:
    """Whether an epilogue of these known ops is short enough for a kernel."""
    arguments = sum(tensor.arguments for _, tensor in epilogue_tensors(steps))
    arguments += sum(len(ACTIVATIONS[op].parameters) for op, *_ in steps if op in ACTIVATIONS)
    return len(steps) <= MAX_FUSED_OPS and arguments <= MAX_EPILOGUE_ARGUMENTS
