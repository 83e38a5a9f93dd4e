"""Average pooling."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(kernel: Kernel) -> list[str]:
    """Pixel by pixel: a sum, times 1 / the rows that count of this window, times 1 / the columns."""
    stride, columns, dilation = kernel.tile
    return indented([
        "float *out = (float *)out_row;",
        *block(
            "for (uint32_t c = 0; c < a->channels; ++c)",
            [
                "const size_t line = (size_t)c * a->x_channel;",
                *block(
                    "for (uint32_t x = 0; x < a->width; ++x)",
                    [
                        f"const ptrdiff_t first = (ptrdiff_t)x * {stride} - (ptrdiff_t)a->before;",
                        "float sum = 0.0f;",
                        *block(
                            "for (uint32_t r = 0; r < a->kernel_rows; ++r)",
                            block(
                                f"for (ptrdiff_t k = 0; rows[r] != NULL && k < {columns * dilation}; k += {dilation})",
                                block(
                                    "if (first + k >= 0 && first + k < (ptrdiff_t)a->x_width)",
                                    ["sum += ((const float *)rows[r])[(ptrdiff_t)line + first + k];"],
                                ),
                            ),
                        ),
                        "out[x] = sum * a->row_share[y] * a->column_share[x];",
                    ],
                ),
                "out += a->out_channel;",
            ],
        ),
    ])  # fmt: skip
