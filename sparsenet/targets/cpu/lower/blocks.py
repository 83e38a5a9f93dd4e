"""Depth to space and back: channels that become blocks of pixels, pixels that become channels."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.graph import Node
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Flattened, Plain
from sparsenet.plan.lowering.places import Blocks
from sparsenet.plan.relayout import MOST_LINES, map_needs, map_source, relayout, relayout_kernel
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.registry import Kernel


@dataclass(eq=False)
class DepthToSpace(Stage):
    """A stage that interleaves the lines of the channels of a block to one line of the output."""

    source: Value
    shape: tuple[int, ...]
    blocks: Blocks
    kernel: Kernel

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(self.source, first // self.blocks.rows, -(-last // self.blocks.rows))]

    def emit(self, to: Emitter, first: int, last: int, channel_blocks: Span) -> None:
        blocks = self.blocks
        x, x_row, x_channel = map_source(to, self.source, first // blocks.rows)
        out, out_row, out_channel = map_source(to, self.out, first)
        to.call(
            self.kernel, x=x, x_row=x_row, x_channel=x_channel * blocks.channel, x_down=x_channel * blocks.down,
            x_across=x_channel * blocks.across, x_columns=self.shape[2], block_rows=blocks.rows,
            block_columns=blocks.columns, first_row=first % blocks.rows, channels=blocks.depth, rows=last - first,
            columns=_written(self.out, self.shape[2] * blocks.columns), out=out, out_row=out_row,
            out_channel=out_channel,
        )  # fmt: skip


def _written(out: Value, width: int) -> int:
    """Floats that a stage writes of a line: the pixels, and the zeros behind them."""
    return width if isinstance(out.layout, Plain | Flattened) else out.rows.line


def _new_map(builder: Builder, node: Node) -> Value:
    """A new value for the output of ``node``, in the layout that its readers need."""
    if builder.is_map(node.output) and node.output in builder.read_as_rows:
        return builder.new_rows(node.output)
    return builder.new_plain(node.output)


def lower_depth_to_space(builder: Builder, node: Node) -> None:
    """Add a stage that moves channels to blocks of pixels, row by row."""
    source, shape = builder.any(node.inputs[0]), builder.image_shape(node.inputs[0])
    depth, height, _ = builder.image_shape(node.output)
    blocks = Blocks.of(node, depth)
    lines = blocks.columns if blocks.columns <= MOST_LINES else 0
    kernel = builder.vector.fitting(shape[2]).kernel("interleave_none_any", (lines,))
    builder.decide(node, "none", kernel, f"{blocks.columns} lines become one")
    out = _new_map(builder, node)
    builder.add(
        DepthToSpace(node.name, out, height, source, shape, blocks, kernel, row_block=blocks.rows, exact=True)
    )


@dataclass(eq=False)
class SpaceToDepth(Stage):
    """A stage that splits each line of the source into the lines of several channels."""

    source: Value
    shape: tuple[int, ...]
    blocks: Blocks

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(self.source, first * self.blocks.rows, last * self.blocks.rows)]

    def emit(self, to: Emitter, first: int, last: int, channel_blocks: Span) -> None:
        blocks, (channels, _, width) = self.blocks, self.shape
        x, x_row, x_channel = map_source(to, self.source, first * blocks.rows)
        out, out_row, out_channel = map_source(to, self.out, first)
        for row in range(blocks.rows):
            relayout(
                to, self.out.layout.vector, x, x_row, x_channel, (channels, (last - first) * blocks.rows, width),
                out + row * blocks.down * out_channel, out_row, out_channel * blocks.channel,
                columns=_written(self.out, width // blocks.columns), rows=last - first, first_row=row,
                row_step=blocks.rows, column_step=blocks.columns, phases=blocks.columns,
                out_phase=out_channel * blocks.across,
            )  # fmt: skip


def lower_space_to_depth(builder: Builder, node: Node) -> None:
    """Add a stage that moves blocks of pixels to channels, row by row."""
    source, shape = builder.any(node.inputs[0]), builder.image_shape(node.inputs[0])
    blocks, out = Blocks.of(node, shape[0]), _new_map(builder, node)
    _, height, width = builder.image_shape(node.output)
    kernel = relayout_kernel(builder.vector, _written(out, width), blocks.columns, blocks.columns)
    builder.decide(node, "none", kernel, f"a line becomes {blocks.columns}")
    builder.add(SpaceToDepth(node.name, out, height, source, shape, blocks, exact=True))


LOWER = {"depth_to_space": lower_depth_to_space, "space_to_depth": lower_space_to_depth}
