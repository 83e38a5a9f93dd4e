"""Resizing: nearest, or bilinear between the rows and columns that tables name."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import C_TYPES, Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(kernel: Kernel) -> list[str]:
    """Line by line, pixel by pixel."""
    bilinear, number = "bilinear" in kernel.family_name, C_TYPES[kernel.family.element]
    pixel = ["out[x] = low[a->left[x]];"]
    if bilinear:
        pixel = [
            "const uint32_t i = a->left[x], j = a->right[x];",
            "const float u = a->across[x];",
            "const float l = low[i] + (high[i] - low[i]) * v, r = low[j] + (high[j] - low[j]) * v;",
            "out[x] = l + (r - l) * u;",
        ]
    return indented([
        f"const {number} *low = (const {number} *)rows[0];",
        *(["const float *high = (const float *)rows[1];", "const float v = a->down[y];"] if bilinear else []),
        f"{number} *out = ({number} *)out_row;",
        "(void)y;",
        *block("for (uint32_t c = 0; c < a->channels; ++c)", [
            *block("for (uint32_t x = 0; x < a->width; ++x)", pixel),
            "low += a->x_channel;",
            *(["high += a->x_channel;"] if bilinear else []),
            "out += a->out_channel;",
        ]),
    ])  # fmt: skip
