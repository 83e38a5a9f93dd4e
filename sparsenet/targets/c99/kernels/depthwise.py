"""Depthwise convolution: a window's row and a tile of pixels in registers, each pixel loaded once for each row."""

from __future__ import annotations

from sparsenet.targets.c99 import epilogue
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import results
from sparsenet.targets.c99.kernels.text import along_line, block, indented, named


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line, in each the channels, in each the rows of the window."""
    tile, stride, columns, dilation = kernel.tile
    in_bytes = "i8" in kernel.family_name
    weight = "int8_t" if in_bytes else "float"
    sums = named("s", tile)
    taps = []
    for place in range((tile - 1) * stride + (columns - 1) * dilation + 1):
        uses = [
            (t, k) for t in range(tile) for k in range(columns) if t * stride + k * dilation == place
        ]  # fmt: skip
        if uses:
            taps += block("", [
                f"const float v = p[{place}];",
                *(f"s{t} = $FMA(w{k}, v, s{t});" for t, k in uses),
            ])  # fmt: skip
    rows = block(
        "for (uint32_t r = 0; r < kernel_rows; ++r)",
        [
            *block(
                "if (rows[r] != NULL)",
                [
                    "const float *p = (const float *)rows[r] + start;",
                    *(f"const float w{k} = {'(float)' if in_bytes else ''}w[{k}];" for k in range(columns)),
                    *taps,
                ],
            ),
            f"w += {columns};",
        ],
    )
    channels = block(
        "for (uint32_t c = 0; c < c_out; ++c)",
        [
            f"float s0 = a->bias[c]{''.join(f', {s} = s0' for s in sums[1:])};",
            *rows,
            *results.scaled(in_bytes, sums, "c"),
            *epilogue.finish(kernel, sums, "c"),
            *results.stored(kernel, sums),
            *epilogue.advance_residuals(kernel),
            *block("if (--left == 0u)", ["left = a->multiplier;", "start += a->x_channel;"]),
        ],
    )
    return indented([
        *epilogue.opened(kernel),
        "const uint32_t c_out = a->c_out, kernel_rows = a->kernel_rows;",
        *results.around(kernel, along_line(kernel, [
            f"const {weight} *w = a->weights;",
            "size_t start = 0;",
            "uint32_t left = a->multiplier;",
            *results.opened(kernel),
            *epilogue.open_residuals(kernel, "kernel_rows", "x0"),
            *channels,
        ])),
    ])  # fmt: skip
