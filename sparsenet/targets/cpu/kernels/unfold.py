"""The windows of a map of up to three channels as quads of a map of their own (im2col).

A quad of such a map is a pixel with a byte or more to spare. Here a window's bytes follow each other, in the order
(row, column, channel), four to a quad: of a 3x3 window of three channels 27 bytes take seven quads in place of nine.
"""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import I32
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, with_bytes
from sparsenet.targets.registry import Kernel

#: int32 numbers that tell a piece of a quad: byte offset of a pixel, by how many bits it is rotated left, its mask.
PIECE = 3


def build(kernel: Kernel) -> Any:
    """Tile ``vectors`` of a line: every quad is put together from ``pieces`` pixels, ``stride`` 1 or 2 apart."""
    read = arguments(kernel)
    pieces, stride, vectors = (kernel.parameter(name) for name in ("pieces", "stride", "vectors"))
    pixels = Tile(kernel.element, kernel.lanes, vectors=vectors)
    load = pixels.load if stride == 1 else pixels.load_every_second
    splat, add, store, vector_bytes = pixels.splat, with_bytes(pixels), pixels.store, pixels.vector_bytes
    piece_bytes = PIECE * I32.itemsize

    def unfold(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, x_row, table = given.x, given.x_row, given.pieces
        channels, height, line_vectors = given.channels, given.height, given.line_vectors
        out, out_row, out_channel = given.out, given.out_row, given.out_channel

        for y in range(height):
            for vector in range(0, line_vectors, vectors):
                vector = min(vector, line_vectors - vectors)
                source = x + y * x_row + vector * vector_bytes * stride
                target, piece = out + y * out_row + vector * vector_bytes, table
                for _ in range(channels):
                    quads = splat(0)
                    for _ in range(pieces):
                        some = load(source + load_i32(piece, 0), 0)
                        quads = add(quads, some, load_i32(piece, 1), load_i32(piece, 2))
                        piece += piece_bytes
                    store(target, 0, quads)
                    target += out_channel

    return kernel_entry(unfold, exact=True)
