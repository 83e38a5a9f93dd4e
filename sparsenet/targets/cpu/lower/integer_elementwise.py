"""Ops element by element in integers: activations by table, sums, products, over maps in quads or plain bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.integer import Rounding, product_ratio, ratio
from sparsenet.graph.ops import ACTIVATIONS, split_inputs
from sparsenet.graph.quantization import Quantization
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Flattened, Plain
from sparsenet.plan.ref import Word
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.reference.integer import table
from sparsenet.targets.cpu.lower.epilogues import Epilogue
from sparsenet.targets.cpu.lower.quad_epilogue import bent
from sparsenet.targets.registry import Kernel

#: Vectors of a tile of bytes that stay bytes.
_MOST_VECTORS = 4


@dataclass(eq=False)
class QuadElements(Stage):
    """A stage over the quads of one or two tensors, by the names of the kernel's arguments.

    Of maps a block is a quad of channels. A plain tensor is one line of quads; beside a map it is a number per channel.
    """

    sources: dict[str, Value]
    kernel: Kernel
    fixed: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [
            (value, 0, 1) if isinstance(value.layout, Plain) else (value, first, last)
            for value in self.sources.values()
        ]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        arguments: dict[str, Word] = {}
        for name, value in (*self.sources.items(), ("out", self.out)):
            if isinstance(value.layout, Plain):
                start, row, channel = to.whole(value), 0, QUAD
            else:
                start, row, channel = to.row(value, first), value.rows.row_bytes, value.rows.channel_bytes
            arguments[name] = start + blocks[0] * channel
            arguments[f"{name}_row"], arguments[f"{name}_channel"] = row, channel
        to.call(
            self.kernel, channels=blocks[1] - blocks[0], height=last - first, **{**self.fixed, **arguments}
        )


def _elements(
    builder: Builder, node: Node, algorithm: str, operands: dict[str, str], fixed: dict[str, Word],
    tile: tuple[int, ...], most: int, reason: str, epilogue: Epilogue | None = None,
) -> None:  # fmt: skip
    """Add the stage of a kernel whose tile is at most ``most`` vectors, and the parameters ``tile`` behind those."""
    if builder.is_map(node.output):
        out = builder.new_rows(node.output)
        layout = out.rows.as_line() if isinstance(out.rows, Flattened) else out.rows
        vector, vectors = layout.vector.fitting(layout.width), layout.line_vectors
        lines, units, blocks = builder.lines(layout), layout.height, layout.channels
    else:
        out = builder.new_plain(node.output)
        quads = -(-prod(builder.image_shape(node.output)) // QUAD)
        vector = builder.vector.fitting(quads)
        vectors, units, blocks = -(-quads // vector.lanes), 1, 1
        lines = {"full_vectors": vectors, "line_vectors": vectors, "halo_vectors": 0}
        lines["lane_bits"] = builder.table([0])  # every vector may be written whole
    fused = epilogue or Epilogue()
    kernel = vector.kernel(algorithm, (min(most, vectors), *tile), fused.ops)
    sources = {
        name: builder.rows(tensor) if builder.is_map(tensor) else builder.plain(tensor)
        for name, tensor in operands.items()
    }
    builder.decide(node, "none", kernel, reason)
    builder.add(
        QuadElements(
            node.name, out, units, sources, kernel, fixed | fused.numbers | lines, channel_blocks=blocks,
            as_line=isinstance(out.layout, Flattened),
        )
    )  # fmt: skip


def lower_table(builder: Builder, node: Node) -> None:
    """Look every byte up in the table of the function's results."""
    grids = builder.graph.quantization
    x, out = grids[node.inputs[0]], grids[node.output]
    fixed: dict[str, Word] = {"table": builder.constant(table(node, x, out)), "zero": out.zero_point}
    _elements(
        builder,
        node,
        "table_none_rows",
        {"x": node.inputs[0]},
        fixed,
        (),
        _MOST_VECTORS,
        "a table of 256 results",
    )


def lower_add(builder: Builder, node: Node) -> None:
    """Add two tensors of one shape."""
    grids, names = builder.graph.quantization, split_inputs(node)[0]
    (x, y), out = (grids[name] for name in names), grids[node.output]
    fixed, epilogue = _rounding(node, out)
    fixed |= {
        "x_zero": x.zero_point, "x_scale": float(ratio(x, out)),
        "y_zero": y.zero_point, "y_scale": float(ratio(y, out)),
    }  # fmt: skip
    operands, tile = dict(zip(("x", "y"), names, strict=True)), (builder.target.dot,)
    _elements(
        builder, node, "add_none_rows", operands, fixed, tile, _unpacked(builder), "two scales", epilogue
    )


def lower_mul(builder: Builder, node: Node) -> None:
    """Multiply two tensors of one shape, or a map and one number per channel."""
    grids, names = builder.graph.quantization, split_inputs(node)[0]
    names = sorted(names, key=builder.is_map, reverse=True)
    x, y, out = (grids[name] for name in (*names, node.output))
    fixed, epilogue = _rounding(node, out)
    fixed |= {
        "x_zero": x.zero_point, "y_zero": y.zero_point, "scale": float(product_ratio(x, y, out)),
    }  # fmt: skip
    per_channel = builder.is_map(names[0]) and not builder.is_map(names[1])
    reason = "one number per channel" if per_channel else "two tensors of one shape"
    operands, tile = dict(zip(("x", "y"), names, strict=True)), (int(per_channel), builder.target.dot)
    _elements(builder, node, "mul_none_rows", operands, fixed, tile, _unpacked(builder), reason, epilogue)


def _unpacked(builder: Builder) -> int:
    """Vectors of a tile of bytes that become a vector of float32 for each of four channels."""
    return 2 if builder.target.registers >= 32 else 1


def _rounding(node: Node, out: Quantization) -> tuple[dict[str, Word], Epilogue]:
    """The arguments that tell how numbers become bytes, and what comes before."""
    rounding = Rounding.of(node, out)
    assert rounding is not None
    # One byte for each channel of a quad, as kernels have it of layers with a bound per channel.
    low, high = (int(np.full(QUAD, bound).view(np.int32)[0]) for bound in (rounding.low, rounding.high))
    return {"zero": rounding.zero_point, "low": low, "high": high}, bent(Epilogue(), rounding.bend)


LOWER = {**dict.fromkeys(ACTIVATIONS, lower_table), "add": lower_add, "mul": lower_mul}
