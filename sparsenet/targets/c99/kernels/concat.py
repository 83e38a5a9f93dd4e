"""Tensors one behind the other along an axis: lines of each are copied to where they go in the result."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(_kernel: Kernel) -> list[str]:
    """Operand by operand, line by line."""
    return indented([
        "(void)y;",
        *block("for (uint32_t k = 0; k < a->operands; ++k)", [
            "const float *x = (const float *)rows[k];",
            "float *out = (float *)out_row + a->starts[k];",
            *block("for (int32_t line = 0; line < a->lines[k]; ++line)", [
                *block("for (int32_t i = 0; i < a->widths[k]; ++i)", ["out[i] = x[i];"]),
                "x += a->steps[k];",
                "out += a->out_step;",
            ]),
        ]),
    ])  # fmt: skip
