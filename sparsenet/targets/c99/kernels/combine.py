"""Functions of the numbers of two maps, row by row; either may be one number for each channel, row or column."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.strided import OPERATIONS
from sparsenet.targets.c99.kernels.text import block, indented


def body(kernel: Kernel) -> list[str]:
    """Line by line, pixel by pixel."""
    expression = list(OPERATIONS.values())[kernel.tile[0]].format(
        x="p[i * a->p_pixel]", y="q[i * a->q_pixel]"
    )
    return indented([
        "const float *p = (const float *)rows[0];",
        "const float *q = (const float *)rows[1];",
        "float *out = (float *)out_row;",
        "(void)y;",
        *block("for (uint32_t c = 0; c < a->channels; ++c)", [
            *block("for (uint32_t i = 0; i < a->width; ++i)", [f"out[i] = {expression};"]),
            "p += a->p_channel;",
            "q += a->q_channel;",
            "out += a->out_channel;",
        ]),
    ])  # fmt: skip
