"""Convolution of maps in bytes, quad by quad of input channels, sparse where whole quads of weights are zero.

The pixels of a tile's windows are unpacked to pairs of 16 bits first, the zero point where a row is padding, so that
those of one tap are neighbours: with a stride of 2, all even columns, then all odd ones. Every output channel
multiplies its nonzero quads with them, a pair in one instruction where there is one. Its stream has of each quad, in
int16, how far its first pixel is from the end of the one before, and the weights; behind the last one stands ``END``.
"""

from __future__ import annotations

from collections.abc import Iterator

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.conv_bytes import opened
from sparsenet.targets.c99.kernels.text import along_line, block, indented, named

#: What no step can be.
END = -(2**15)


def phases(tile: int, stride: int, columns: int, dilation: int) -> dict[int, int]:
    """Which columns of every ``stride`` some tap reads, and how many of these the windows of a tile see."""
    taps = [divmod(column * dilation, stride) for column in range(columns)]
    return {
        phase: tile + max(ahead for ahead, own in taps if own == phase)
        for phase in sorted({p for _, p in taps})
    }


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line; in each, pixels are unpacked, then the output channels made, each of its nonzero quads."""
    tile = kernel.parameter("width")
    sums = named("s", tile)
    channels = block(
        "for (uint32_t c = 0; c < a->c_out; ++c)",
        [
            to_bytes.bias(kernel, sums),
            "const @pairs *p = unpacked;",
            "int32_t step;",
            *block(f"for (; (step = @short(quad)) != {END}; quad += {QUAD + 2})", [
                "const @pairs v = @of_weights(@quad(quad + 2));",
                "p += step;",
                *(f"p = @dot4(p, v, &s{t}, &s{t + 1});" for t in range(0, tile - 1, 2)),
                *([f"p = @dot4_once(p, v, &s{tile - 1});"] if tile % 2 else []),
            ]),
            "quad += 2;",
            *to_bytes.finished(kernel, sums),
            *to_bytes.next_channel(kernel),
        ],
    )  # fmt: skip
    return indented([
        f"@pairs *const unpacked = (@pairs *)rows[a->kernel_rows + {kernel.parameter('add')}u];",
        *opened(kernel),
        *along_line(kernel, [
            "const uint8_t *quad = a->stream;",
            *to_bytes.begun(kernel),
            *_unpacked(kernel),
            *channels,
        ]),
    ])  # fmt: skip


def _unpacked(kernel: Kernel) -> Iterator[str]:
    stride = kernel.parameter("stride")
    each = phases(*(kernel.parameter(name) for name in ("width", "stride", "columns", "dilation")))
    yield "@pairs *to = unpacked;"
    yield from block("for (uint32_t r = 0; r < a->kernel_rows; ++r)", [
        "const uint8_t *x = (const uint8_t *)rows[r];",
        *block(f"for (uint32_t i = 0; x == NULL && i < {sum(each.values())}u * a->quads; ++i)", [
            "*to++ = @of_pixel(a->x_zero * 0x01010101u);",
        ]),
        *block("for (uint32_t q = 0; x != NULL && q < a->quads; ++q)", [
            *(line for phase, length in each.items() for line in block(
                f"for (uint32_t i = 0; i < {length}u; ++i)",
                [f"*to++ = @of_pixel(@quad(x + {QUAD * stride}u * i + {QUAD * phase}u));"],
            )),
            "x += 4u * (size_t)a->x_channel;",
        ]),
    ])  # fmt: skip
