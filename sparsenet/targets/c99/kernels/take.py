"""Numbers at places that are sums of one place for each axis of the result, which tables hold."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(_kernel: Kernel) -> list[str]:
    """Four axes."""
    return indented([
        "const float *x = (const float *)rows[0];",
        "float *out = (float *)out_row;",
        "(void)y;",
        *block("for (uint32_t i = 0; i < a->size_0; ++i)",
            block("for (uint32_t j = 0; j < a->size_1; ++j)",
                block("for (uint32_t k = 0; k < a->size_2; ++k)", [
                    "const float *line = x + a->places_0[i] + a->places_1[j] + a->places_2[k];",
                    *block("for (uint32_t l = 0; l < a->size_3; ++l)", ["*out++ = line[a->places_3[l]];"]),
                ]))),
    ])  # fmt: skip
