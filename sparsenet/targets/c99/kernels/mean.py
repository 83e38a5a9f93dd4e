"""The mean of each channel over a whole map, a row at a time."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(_kernel: Kernel) -> list[str]:
    """Add the sum of each line to what there is of its channel; behind the last row, multiply by 1 / pixels."""
    return indented([
        "const float *x = (const float *)rows[0];",
        "float *out = (float *)out_row;",
        *block(
            "for (uint32_t c = 0; c < a->channels; ++c)",
            [
                "float sum = y == 0u ? 0.0f : out[c];",
                *block("for (uint32_t i = 0; i < a->width; ++i)", ["sum += x[i];"]),
                "out[c] = y + 1u == a->rows ? sum * a->share : sum;",
                "x += a->x_channel;",
            ],
        ),
    ])  # fmt: skip
