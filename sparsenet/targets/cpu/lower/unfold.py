"""Convolutions in integers of maps with up to three channels: 1x1 convolutions of their unfolded windows."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

import numpy as np
import numpy.typing as npt

from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Rows
from sparsenet.plan.lowering.geometry import Geometry
from sparsenet.plan.lowering.row_groups import Words
from sparsenet.plan.ref import Ref
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.plan.window import Window, open_window
from sparsenet.targets.cpu.lower.depthwise import IN_PLACE_STRIDE
from sparsenet.targets.registry import Kernel

#: Multiplications that take as long as to put a quad together: of 3x3 windows of three channels, 28 outputs pay.
UNFOLD_COST = 8
BYTE_BITS = 8


def unfolds(weight: npt.NDArray[np.int8], geo: Geometry) -> bool:
    """Whether a convolution without groups is faster over unfolded windows.

    A quad less saves one multiplication for each output; each quad that is left is put together once.
    """
    c_out, channels, taps = len(weight), weight.shape[1], prod(geo.kernel)
    quads = ceil(channels * taps / QUAD)
    return (
        (taps - quads) * c_out >= UNFOLD_COST * quads and channels < QUAD and geo.stride[1] <= IN_PLACE_STRIDE
    )


def window_pieces(offsets: npt.NDArray[np.int64], channels: int) -> Words:
    """How the quads of windows are put together, whose taps of ``channels`` bytes each are at these byte offsets.

    Returns:
        int32 (quads, most, 3): byte offset of a pixel, bits by which its quad is rotated left, and the mask of the
        bytes that are taken then; a quad of fewer pieces than the most has some of mask 0.
    """
    quads: list[dict[tuple[int, int], int]] = [{} for _ in range(ceil(len(offsets) * channels / QUAD))]
    for byte in range(len(offsets) * channels):
        (tap, channel), (quad, place) = divmod(byte, channels), divmod(byte, QUAD)
        piece = int(offsets[tap]), (place - channel) % QUAD * BYTE_BITS
        quads[quad][piece] = quads[quad].get(piece, 0) | 0xFF << place * BYTE_BITS
    table = np.zeros((len(quads), max(map(len, quads)), 3), np.uint32)
    table[:, :, 0] = offsets[0]
    for pieces, found in zip(table, quads, strict=True):
        pieces[: len(found)] = [(*piece, mask) for piece, mask in found.items()]
    return table.view(np.int32)


def unfolded_weight(weight: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """The weight (C_out, C_in * K_h * K_w, 1, 1) for unfolded windows; ``weight`` is for those of the map."""
    return weight.transpose(0, 2, 3, 1).reshape(len(weight), -1, 1, 1)


@dataclass(eq=False)
class Unfold(Stage):
    """Makes a map with a window's quads as channels."""

    window: Window
    kernel: Kernel
    pieces: Ref

    def needs(self, first: int, last: int) -> list[Need]:
        return [self.window.needs(first, last)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        layout = self.out.rows
        to.call(
            self.kernel, x=self.window.at(to, first), x_row=self.window.out_row, pieces=self.pieces,
            channels=layout.channels, height=last - first, line_vectors=layout.line_vectors,
            out=to.row(self.out, first), out_row=layout.row_bytes, out_channel=layout.channel_bytes,
        )  # fmt: skip


def open_unfolded(builder: Builder, tensor: str, geo: Geometry) -> Window:
    """Windows of one pixel of the unfolded ``tensor``, which readers of the same geometry share."""
    key = (tensor, geo, "unfolded")
    if key not in builder.windows:
        builder.windows[key] = _unfolded(builder, tensor, geo)
    return Window(builder.windows[key], 1, 0, 1, 1, 0, (0,))


def _unfolded(builder: Builder, tensor: str, geo: Geometry) -> Value:
    window = open_window(builder, tensor, geo, IN_PLACE_STRIDE)
    pieces = window_pieces(window.taps(1).reshape(-1), builder.image_shape(tensor)[0])
    layout = Rows(builder.vector, len(pieces), *geo.out)
    out = builder.new_map(tensor, layout)
    tile = pieces.shape[1], window.column_step, min(4, layout.line_vectors)
    kernel = layout.kernel("unfold_none_rows", tile)
    builder.add(Unfold(builder.layer, out, geo.out[0], window, kernel, builder.constant(pieces)))
    return out
