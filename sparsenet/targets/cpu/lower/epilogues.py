"""Epilogues: what a node's fused ops read, in the form that kernels take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sparsenet.graph import Node
from sparsenet.graph.types import F32
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Plain
from sparsenet.plan.lowering.epilogue import FusedStep, fused_steps
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.stage import Emitter, Need, Value
from sparsenet.targets.registry import EPILOGUE_ARGUMENTS


@dataclass
class Epilogue:
    """The fused ops of one kernel call, with what they read.

    Attributes:
        ops: names of the fused ops, in order of execution.
        numbers: parameters of activations.
        vectors: per-channel scales and shifts.
        residuals: tensors added, by the index of their fused op.
    """

    ops: tuple[str, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)
    vectors: dict[str, Ref] = field(default_factory=dict)
    residuals: dict[int, Value] = field(default_factory=dict)

    def needs(self, first: int, last: int) -> list[Need]:
        """Rows of the residuals that output rows ``first`` to ``last`` read."""
        return [(v, first, last) if v.by_rows else (v, 0, 1) for v in self.residuals.values()]

    def arguments(self, to: Emitter, y: int, channel: int = 0) -> dict[str, Word]:
        """Tape arguments for a call that begins at row ``y`` and ``channel`` of the output."""
        arguments: dict[str, Word] = dict(self.numbers)
        for name, vector in self.vectors.items():
            arguments[name] = vector + channel * F32.itemsize
        for step, value in self.residuals.items():
            if not isinstance(value.layout, Plain):
                row, per_channel = value.rows.row_bytes, value.rows.channel_bytes
                start = to.row(value, y)
            else:
                row, per_channel, start = 0, value.layout.itemsize, to.whole(value)
            arguments[f"residual.{step}"] = start + channel * per_channel
            arguments[f"residual_row.{step}"], arguments[f"residual_channel.{step}"] = row, per_channel
        return arguments

    def add(self, step: FusedStep, vectors: Sequence[Ref], tensors: Sequence[Value]) -> None:
        """Append ``step``, whose constants and activations are these."""
        number = len(self.ops)
        self.ops += (step.op,)
        names = [f"{argument.name}.{number}" for argument in EPILOGUE_ARGUMENTS[step.op]]
        self.numbers.update(zip(names, step.numbers, strict=False))
        self.vectors.update(zip(names, vectors, strict=False))
        for value in tensors:
            self.residuals[number] = value


def epilogue_of(builder: Builder, node: Node, over_rows: bool, first: FusedStep | None = None) -> Epilogue:
    """The epilogue of ``node``, behind the step ``first``; ``over_rows``: for a kernel over rows, else flat."""
    epilogue = Epilogue()
    for step in [*([first] if first else []), *fused_steps(builder.graph, node)]:
        vectors = [builder.padded_constant(vector) for vector in step.vectors]
        tensors = [builder.rows(name) if over_rows else builder.plain(name) for name in step.tensors]
        epilogue.add(step, vectors, tensors)
    return epilogue
