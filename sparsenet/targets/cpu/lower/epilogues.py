"""Epilogues: what a node's fused words read, as the kernel wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sparsenet.graph import Node
from sparsenet.graph.ops import split_inputs
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Plain
from sparsenet.plan.stage import Emitter, Need, Ref, Value, Word
from sparsenet.targets.registry import EPILOGUE_ARGUMENTS


@dataclass
class Epilogue:
    """The fused words of one kernel call, with what they read.

    Attributes:
        words: in order of execution.
        numbers: parameters of activations.
        vectors: per-channel scales and shifts.
        residuals: tensors added, by the index of their word.
    """

    words: tuple[str, ...] = ()
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
            arguments[name] = vector + channel * 4
        for step, value in self.residuals.items():
            if not isinstance(value.layout, Plain):
                row, per_channel = value.rows.row_bytes, value.rows.channel_bytes
                start = to.row(value, y)
            else:
                row, per_channel, start = 0, value.layout.itemsize, to.whole(value)
            arguments[f"residual.{step}"] = start + channel * per_channel
            arguments[f"residual_row.{step}"], arguments[f"residual_channel.{step}"] = row, per_channel
        return arguments

    def add_activation(self, word: str, values: Sequence[float]) -> None:
        """Append an activation word with its parameters."""
        step = len(self.words)
        self.words += (word,)
        for (name, _), value in zip(EPILOGUE_ARGUMENTS[word], values, strict=True):
            self.numbers[f"{name}.{step}"] = value

    def add_affine(self, scale: Ref, shift: Ref) -> None:
        """Append ``scale * y + shift`` per channel."""
        step = len(self.words)
        self.words += ("affine",)
        self.vectors[f"scale.{step}"], self.vectors[f"shift.{step}"] = scale, shift

    def add_residual(self, value: Value) -> None:
        """Append the sum with another tensor of the output's shape."""
        self.residuals[len(self.words)] = value
        self.words += ("add",)


def epilogue_of(builder: Builder, node: Node, over_rows: bool, start: Epilogue | None = None) -> Epilogue:
    """The epilogue of ``node``, behind the words of ``start``; ``over_rows``: for a kernel over rows, else flat."""
    epilogue = start or Epilogue()
    tensors = iter(split_inputs(node)[1])
    for word, *values in node.epilogue:
        if word == "affine":
            scale, shift = (builder.graph.constants[next(tensors)] for _ in range(2))
            epilogue.add_affine(builder.padded_constant(scale), builder.padded_constant(shift))
        elif word == "add":
            tensor = next(tensors)
            epilogue.add_residual(builder.rows(tensor) if over_rows else builder.plain(tensor))
        else:
            epilogue.add_activation(word, values)
    return epilogue
