"""Fused ops of a node as arguments of its kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.plan.lowering.epilogue import FusedStep, fused_steps
from sparsenet.targets.c99.activations import FUNCTION, INSTRUCTIONS
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.stage import Read


@dataclass(frozen=True)
class Epilogue:
    """Fused ops of a stage.

    Attributes:
        ops: in the order of execution.
        arguments: of the kernel.
        reads: rows of what is added.
        instructions: about how many each result takes.
    """

    ops: tuple[str, ...] = ()
    arguments: Mapping[str, Word] = field(default_factory=dict)
    reads: tuple[Read, ...] = ()

    @property
    def instructions(self) -> int:
        """About how many instructions each result takes."""
        return sum(INSTRUCTIONS.get(op, FUNCTION) for op in self.ops)


def epilogue_of(builder: Builder, node: Node) -> Epilogue:
    """The epilogue of ``node``."""
    return as_arguments(builder, fused_steps(builder.graph, node), builder.map_shape(node.output)[0])


def as_arguments(builder: Builder, steps: Sequence[FusedStep], channels: int) -> Epilogue:
    """These fused ops of results of so many channels, constants placed; of an image behind an axis of one element it
    is that axis's number that all channels are scaled by.
    """
    arguments: dict[str, Word] = {}
    reads: list[Read] = []
    for place, step in enumerate(steps):
        if step.op == "affine":
            scale, shift = (builder.constant(np.broadcast_to(v, (channels,))) for v in step.vectors)
            arguments |= {f"scale_{place}": scale, f"shift_{place}": shift}
        elif step.op == "add":
            value = builder.any(step.tensors[0])
            reads.append(Read(value))
            arguments[f"residual_channel_{place}"] = value.channel
        else:
            names = ACTIVATIONS[step.op].parameters
            arguments |= {
                f"{name}_{place}": float(number) for name, number in zip(names, step.numbers, strict=True)
            }
    return Epilogue(tuple(step.op for step in steps), arguments, tuple(reads))
