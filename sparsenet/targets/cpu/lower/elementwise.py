"""Ops element by element: activations, affine, add, subtract, multiply, with any broadcasting."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.graph import Node
from sparsenet.graph.ops import ACTIVATIONS, split_inputs
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Flattened, Plain
from sparsenet.plan.lowering.epilogue import FusedStep, as_fused_step
from sparsenet.plan.ref import Word
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.cpu.lower.broadcast import lower_broadcast
from sparsenet.targets.cpu.lower.epilogues import Epilogue, epilogue_of
from sparsenet.targets.registry import Kernel


@dataclass(eq=False)
class MapElements(Stage):
    """A stage over the pixels of one or two maps of the output's shape; ``gain``: one number per channel instead."""

    source: Value
    kernel: Kernel
    epilogue: Epilogue
    lines: dict[str, Word]
    other: Value | None = None
    gain: Value | None = None

    def needs(self, first: int, last: int) -> list[Need]:
        needs = [(self.source, first, last), *self.epilogue.needs(first, last)]
        if self.other is not None:
            needs.append((self.other, first, last))
        if self.gain is not None:
            needs.append((self.gain, 0, 1))
        return needs

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        channel, x_channel = blocks[0], self.source.rows.channel_bytes
        arguments: dict[str, Word] = {}
        if self.other is not None:
            y_channel = self.other.rows.channel_bytes
            arguments["y"] = to.row(self.other, first) + channel * y_channel
            arguments["y_row"], arguments["y_channel"] = self.other.rows.row_bytes, y_channel
        if self.gain is not None:
            arguments["gain"] = to.whole(self.gain) + channel * self.gain.layout.itemsize
        to.call(
            self.kernel, x=to.row(self.source, first) + channel * x_channel, x_row=self.source.rows.row_bytes,
            x_channel=x_channel, channels=blocks[1] - blocks[0], height=last - first,
            out=to.row(self.out, first) + channel * self.out.rows.channel_bytes,
            **self.lines, **arguments, **self.epilogue.arguments(to, first, channel),
        )  # fmt: skip


@dataclass(eq=False)
class FlatElements(Stage):
    """A stage over the elements of one or two plain tensors."""

    source: Value
    kernel: Kernel
    epilogue: Epilogue
    other: Value | None = None

    def needs(self, first: int, last: int) -> list[Need]:
        others = [] if self.other is None else [(self.other, 0, 1)]
        return [(self.source, 0, 1), *others, *self.epilogue.needs(0, 1)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        assert isinstance(self.out.layout, Plain)
        other = {} if self.other is None else {"y": to.whole(self.other)}
        to.call(
            self.kernel, x=to.whole(self.source), **other, size=self.out.layout.size, out=to.whole(self.out),
            **self.epilogue.arguments(to, 0),
        )  # fmt: skip


def copy(builder: Builder, node: Node, x: str, first: FusedStep | None = None) -> None:
    """Add a stage that copies ``x`` and runs fused ops on it: ``out = epilogue(first(x))``."""
    over_rows = builder.is_map(x)
    epilogue = epilogue_of(builder, node, over_rows, first)
    if over_rows:
        kernel = _map_stage(builder, node, "copy_none_rows", x, epilogue)
    else:
        source, out = builder.plain(x), builder.new_plain(node.output)
        kernel = builder.kernel("copy_none_flat", epilogue=epilogue.ops)
        builder.add(FlatElements(node.name, out, 1, source, kernel, epilogue))
    builder.decide(node, "none", kernel)


def _map_stage(
    builder: Builder, node: Node, algorithm: str, x: str, epilogue: Epilogue,
    other: Value | None = None, gain: Value | None = None,
) -> Kernel:  # fmt: skip
    source, out = builder.rows(x), builder.new_rows(node.output)
    layout = out.rows.as_line() if isinstance(out.rows, Flattened) else out.rows
    kernel = layout.kernel(algorithm, (min(4, layout.line_vectors),), epilogue.ops)
    builder.add(
        MapElements(
            node.name, out, layout.height, source, kernel, epilogue, builder.lines(layout), other, gain,
            channel_blocks=layout.channels, as_line=isinstance(out.rows, Flattened),
        )
    )  # fmt: skip
    return kernel


def lower_fused_step(builder: Builder, node: Node) -> None:
    """Lower an activation, affine or batch normalization as one fused op behind a copy."""
    copy(builder, node, node.inputs[0], as_fused_step(builder.graph, node))


def lower_add(builder: Builder, node: Node) -> None:
    """Lower an addition as a copy with a residual where shapes are equal, else as any broadcast."""
    a, b = split_inputs(node)[0]
    if not _activations(builder, a, b) or builder.image_shape(a) != builder.image_shape(b):
        _broadcast(builder, node)
        return
    copy(builder, node, a, FusedStep("add", tensors=(b,)))


def lower_sub(builder: Builder, node: Node) -> None:
    """Lower a subtraction, always with the general kernel: networks rarely subtract maps."""
    _broadcast(builder, node)


def lower_mul(builder: Builder, node: Node) -> None:
    """Lower a product of two maps of one shape, a map and one number per channel, or anything that broadcasts."""
    a, b = split_inputs(node)[0]
    if _activations(builder, a, b):
        shapes = builder.image_shape(a), builder.image_shape(b)
        if builder.is_map(b) and not builder.is_map(a):
            a, b = b, a
        if shapes[0] == shapes[1]:
            _multiply_equal(builder, node, a, b)
            return
        if builder.is_map(a) and builder.image_shape(b) == (builder.image_shape(a)[0], 1, 1):
            epilogue = epilogue_of(builder, node, True)
            kernel = _map_stage(builder, node, "scale_none_rows", a, epilogue, gain=builder.plain(b))
            builder.decide(node, "none", kernel, "one number per channel")
            return
    _broadcast(builder, node)


def _multiply_equal(builder: Builder, node: Node, a: str, b: str) -> None:
    if builder.is_map(a):
        epilogue = epilogue_of(builder, node, True)
        kernel = _map_stage(builder, node, "mul_none_rows", a, epilogue, other=builder.rows(b))
        builder.decide(node, "none", kernel, "two maps")
        return
    x, y = builder.plain(a), builder.plain(b)
    epilogue = epilogue_of(builder, node, False)
    out = builder.new_plain(node.output)
    kernel = builder.kernel("mul_none_flat", epilogue=epilogue.ops)
    builder.decide(node, "none", kernel, "both operands flat and of one shape")
    builder.add(FlatElements(node.name, out, 1, x, kernel, epilogue, y))


def _activations(builder: Builder, a: str, b: str) -> bool:
    return a not in builder.graph.constants and b not in builder.graph.constants


def _broadcast(builder: Builder, node: Node) -> None:
    if not node.epilogue:
        lower_broadcast(builder, node)
        return
    result = f"{node.output}//before epilogue"
    builder.shapes[result] = builder.shapes[node.output]
    lower_broadcast(builder, node, result)
    copy(builder, node, result)


LOWER = {
    **dict.fromkeys([*ACTIVATIONS, "affine", "batch_norm"], lower_fused_step),
    "add": lower_add,
    "sub": lower_sub,
    "mul": lower_mul,
}
