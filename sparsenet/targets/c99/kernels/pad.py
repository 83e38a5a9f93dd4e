"""Rows with a constant border; of rows that are border themselves there is none to copy."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(_kernel: Kernel) -> list[str]:
    """Line by line."""
    return indented([
        "const float *x = (const float *)rows[0];",
        "float *out = (float *)out_row;",
        "(void)y;",
        *block("for (uint32_t c = 0; c < a->channels; ++c)", [
            *block("for (uint32_t i = 0; i < a->width; ++i)", [
                "const uint32_t j = i - a->before; /* beyond the line, too, if it is before it */",
                "out[i] = x != NULL && j < a->x_width ? x[j] : a->value;",
            ]),
            *block("if (x != NULL)", ["x += a->x_channel;"]),
            "out += a->out_channel;",
        ]),
    ])  # fmt: skip
