"""Max pooling. NaN in a window is NaN in the result."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented, named


def body(kernel: Kernel) -> list[str]:
    """Tiles of pixels ``begin`` to ``end``, whose windows are inside of the line: first the largest number of each
    column, then of neighbouring columns. ``$MAX`` may lose NaN: their sum tells whether there can be one, and then the
    tile is made again as the pixels at the edges are, one by one.
    """
    tile, stride, columns, dilation = kernel.tile
    return indented([
        "float *out = (float *)out_row;",
        "const ptrdiff_t before = (ptrdiff_t)a->before;",
        "(void)y;",
        *block(
            "for (uint32_t c = 0; c < a->channels; ++c)",
            [
                "const size_t line = (size_t)c * a->x_channel;",
                "uint32_t x0 = 0;",
                *block(
                    "while (x0 < a->width)",
                    [
                        "uint32_t stop = x0 + 1u;",
                        *(_tile(tile, stride, columns, dilation) if tile else []),
                        *block(
                            "for (; x0 < stop; ++x0)",
                            [
                                f"const ptrdiff_t first = (ptrdiff_t)x0 * {stride} - before;",
                                "float most = -INFINITY;",
                                *_one(columns, dilation),
                                "out[x0] = most;",
                            ],
                        ),
                    ],
                ),
                "out += a->out_channel;",
            ],
        ),
    ])  # fmt: skip


def _tile(tile: int, stride: int, columns: int, dilation: int) -> list[str]:
    taps = (tile - 1) * stride + (columns - 1) * dilation + 1
    used = sorted({t * stride + k * dilation for t in range(tile) for k in range(columns)})
    largest = named("m", taps)
    return block(
        "if (x0 >= a->begin && x0 < a->end)",
        [
            f"const uint32_t at = x0 + {tile}u > a->end ? a->end - {tile}u : x0;",
            f"float sum = 0.0f, {', '.join(f'{largest[j]} = -INFINITY' for j in used)};",
            *block(
                "for (uint32_t r = 0; r < a->kernel_rows; ++r)",
                [
                    "const float *p = (const float *)rows[r];",
                    *block(
                        "if (p != NULL)",
                        [
                            f"p += (ptrdiff_t)line + (ptrdiff_t)at * {stride} - before;",
                            *(
                                line
                                for j in used
                                for line in block("", [
                                    f"const float v = p[{j}];",
                                    f"{largest[j]} = $MAX({largest[j]}, v);",
                                    "sum += v;",
                                ])
                            ),
                        ],
                    ),
                ],
            ),
            f"stop = at + {tile}u;",
            *block(
                "if (sum == sum)",
                [
                    *(
                        line
                        for t in range(tile)
                        for line in block("", [
                            f"float most = {largest[t * stride]};",
                            *(f"most = $MAX(most, {largest[t * stride + k * dilation]});" for k in range(1, columns)),
                            f"out[at + {t}u] = most;",
                        ])
                    ),
                    "x0 = stop;",
                    "continue;",
                ],
            ),
        ],
    )  # fmt: skip


def _one(columns: int, dilation: int) -> list[str]:
    return block(
        "for (uint32_t r = 0; r < a->kernel_rows; ++r)",
        block(
            f"for (ptrdiff_t k = 0; rows[r] != NULL && k < {columns * dilation}; k += {dilation})",
            block(
                "if (first + k >= 0 && first + k < (ptrdiff_t)a->x_width)",
                [
                    "const float v = ((const float *)rows[r])[(ptrdiff_t)line + first + k];",
                    "most = v > most || v != v ? v : most;",
                ],
            ),
        ),
    )
