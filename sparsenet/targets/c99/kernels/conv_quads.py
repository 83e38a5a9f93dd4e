"""Convolution of maps in bytes, quad by quad of input channels, sparse where whole quads of weights are zero.

The pixels of a tile's windows are unpacked to pairs of 16 bits first, the zero point where a row is padding; then every
output channel multiplies its nonzero quads with them, a pair in one instruction where there is one. Of each nonzero
quad it is known how far its pixels are from those of the channel's one before; behind the last one stands -1.
"""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.conv_bytes import opened
from sparsenet.targets.c99.kernels.text import along_line, block, indented, named


def columns_of(tile: int, stride: int, columns: int, dilation: int) -> int:
    """Pixels of a line that the windows of a tile see."""
    return (tile - 1) * stride + (columns - 1) * dilation + 1


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line; in each, pixels are unpacked, then the output channels made, each of its nonzero quads."""
    tile, stride, columns, dilation = (
        kernel.parameter(n) for n in ("width", "stride", "columns", "dilation")
    )
    seen, sums = columns_of(tile, stride, columns, dilation), named("s", tile)
    unpack = ["@pairs *to = unpacked;", *block("for (uint32_t r = 0; r < a->kernel_rows; ++r)", [
        "const uint8_t *x = (const uint8_t *)rows[r];",
        *block("for (uint32_t q = 0; q < a->quads; ++q)", [
            *block(f"for (uint32_t i = 0; i < {seen}u; ++i)", [
                "*to++ = @of_pixel(x == NULL ? a->x_zero * 0x01010101u : @quad(x + 4u * i));",
            ]),
            *block("if (x != NULL)", ["x += 4u * (size_t)a->x_channel;"]),
        ]),
    ])]  # fmt: skip
    channels = block(
        "for (uint32_t c = 0; c < a->c_out; ++c)",
        [
            to_bytes.bias(kernel, sums),
            "const @pairs *p = unpacked;",
            "int32_t move;",
            *block("while ((move = (int16_t)*step++) >= 0)", [
                "const @pairs v = @of_weights(@quad(w));",
                "p += move;",
                "w += 4;",
                *(f"{s} = @dot4(p + {t * stride}, v, {s});" for t, s in enumerate(sums)),
            ]),
            *to_bytes.finished(kernel, sums),
            *to_bytes.next_channel(kernel),
        ],
    )  # fmt: skip
    return indented([
        f"@pairs *const unpacked = (@pairs *)rows[a->kernel_rows + {kernel.parameter('add')}u];",
        *opened(kernel),
        *along_line(kernel, [
            "const int8_t *w = a->weights;",
            "const uint16_t *step = a->steps;",
            *to_bytes.begun(kernel),
            *unpack,
            *channels,
        ]),
    ])  # fmt: skip
