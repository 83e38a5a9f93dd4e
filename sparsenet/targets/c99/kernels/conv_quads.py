"""Convolution of maps in bytes, quad by quad of input channels, sparse where whole quads of weights are zero.

The pixels of a tile's windows are unpacked to pairs of 16 bits first, the zero point where a row is padding; then every
output channel multiplies its nonzero quads with them, a pair in one instruction where there is one.
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
    unpack = [
        "uint32_t *to = unpacked;",
        *block("for (uint32_t r = 0; r < a->kernel_rows; ++r)", [
            "const uint8_t *x = (const uint8_t *)rows[r];",
            *block("for (uint32_t q = 0; q < a->quads; ++q)", [
                *block(f"for (uint32_t i = 0; i < {seen}u; ++i)", [
                    "const uint32_t v = x == NULL ? a->x_zero * 0x01010101u : @quad(x + 4u * i);",
                    "*to++ = $UNSIGNED(v);",
                    "*to++ = $UNSIGNED(v >> 8);",
                ]),
                *block("if (x != NULL)", ["x += 4u * (size_t)a->x_channel;"]),
            ]),
        ]),
    ]  # fmt: skip
    channels = block(
        "for (uint32_t c = 0; c < a->c_out; ++c)",
        [
            f"int32_t s0 = a->bias[c]{''.join(f', {s} = s0' for s in sums[1:])};",
            "const uint16_t *const end = place + *count++;",
            *block("while (place != end)", [
                "const uint32_t v = @quad(w);",
                "const uint32_t even = $SIGNED(v), odd = $SIGNED(v >> 8);",
                "const uint32_t *p = unpacked + *place++;",
                "w += 4;",
                *(f"{s} = @dot(p[{2 * t * stride}], even, {s});" for t, s in enumerate(sums)),
                *(f"{s} = @dot(p[{2 * t * stride + 1}], odd, {s});" for t, s in enumerate(sums)),
            ]),
            *to_bytes.finished(kernel, sums),
        ],
    )  # fmt: skip
    return indented([
        f"uint32_t *const unpacked = (uint32_t *)rows[a->kernel_rows + {kernel.parameter('add')}u];",
        *opened(kernel),
        *along_line(kernel, [
            "const int8_t *w = a->weights;",
            "const uint16_t *place = a->places;",
            "const uint16_t *count = a->counts;",
            *unpack,
            *channels,
        ]),
    ])  # fmt: skip
