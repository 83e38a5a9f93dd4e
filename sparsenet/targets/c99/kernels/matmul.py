"""Products of stacks of matrices in C order."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(_kernel: Kernel) -> list[str]:
    """Product by product, number by number."""
    return indented([
        "float *out = (float *)out_row;",
        "(void)y;",
        *block("for (uint32_t n = 0; n < a->products; ++n)",
            block("for (uint32_t i = 0; i < a->lines; ++i)",
                block("for (uint32_t j = 0; j < a->columns; ++j)", [
                    "const float *p = (const float *)rows[0] + a->p_starts[n] + (size_t)i * a->depth;",
                    "const float *q = (const float *)rows[1] + a->q_starts[n] + j;",
                    "float sum = 0.0f;",
                    *block("for (uint32_t k = 0; k < a->depth; ++k, q += a->columns)", ["sum = $FMA(p[k], *q, sum);"]),
                    "*out++ = sum;",
                ]))),
    ])  # fmt: skip
