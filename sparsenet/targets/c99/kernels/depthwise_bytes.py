"""Depthwise convolution of maps in bytes: a window's row and a tile of pixels of one channel in registers."""

from __future__ import annotations

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.conv_bytes import opened
from sparsenet.targets.c99.kernels.text import along_line, block, indented, named


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line, in each the channels, in each the rows of the window."""
    tile, stride, columns, dilation = (
        kernel.parameter(n) for n in ("width", "stride", "columns", "dilation")
    )
    sums = named("s", tile)
    taps = []
    for place in range((tile - 1) * stride + (columns - 1) * dilation + 1):
        uses = [(t, k) for t in range(tile) for k in range(columns) if t * stride + k * dilation == place]
        if uses:
            taps += block("", [
                f"const int32_t v = p[{QUAD * place}];",
                *(f"s{t} += w{k} * v;" for t, k in uses),
            ])  # fmt: skip
    rows = block(
        "for (uint32_t r = 0; r < a->kernel_rows; ++r)",
        [
            "const uint8_t *p = (const uint8_t *)rows[r];",
            *block("if (p != NULL)", [
                "p += 4u * (size_t)(from / 4u) * a->x_channel + from % 4u;",
                *(f"const int32_t w{k} = w[{k}];" for k in range(columns)),
                *taps,
            ]),
            *block("else", ["const int32_t padding = *absent;", *(f"{s} += padding;" for s in sums)]),
            "++absent;",
            f"w += {columns};",
        ],
    )  # fmt: skip
    channels = block(
        "for (uint32_t c = 0; c < a->c_out; ++c)",
        [
            to_bytes.bias(kernel, sums),
            *rows,
            *to_bytes.finished(kernel, sums),
            *to_bytes.next_channel(kernel),
            *block("if (--left == 0u)", ["left = a->multiple;", "++from;"]),
        ],
    )
    return indented([
        *opened(kernel),
        *along_line(kernel, [
            "const int8_t *w = a->weights;",
            *to_bytes.begun(kernel),
            "const int32_t *absent = a->absent;",
            "uint32_t from = 0, left = a->multiple;",
            *channels,
        ]),
    ])  # fmt: skip
