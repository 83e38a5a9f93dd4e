"""Tensors in C order of which only the first elements of an axis are valid: how many, and what is behind them."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(kernel: Kernel) -> list[str]:
    """The kernel of this family."""
    return indented(["(void)y;", *_BODIES[kernel.family_name]])


#: The places of numbers that are not 0, a line of the result for each axis; -1 behind the last.
_NONZERO = [
    "const float *x = (const float *)rows[0];",
    "float *out = (float *)out_row;",
    "uint32_t found = 0;",
    *block("for (uint32_t i = 0; i < a->size; ++i)",
        block("if (x[i] != 0.0f)", [
            "uint32_t rest = i;",
            *block("for (uint32_t axis = a->rank; axis-- > 0u;)", [
                "out[(size_t)axis * a->size + found] = (float)(rest % (uint32_t)a->shape[axis]);",
                "rest /= (uint32_t)a->shape[axis];",
            ]),
            "++found;",
        ])),
    *block("for (uint32_t axis = 0; axis < a->rank; ++axis)",
        block("for (uint32_t i = found; i < a->size; ++i)", ["out[(size_t)axis * a->size + i] = -1.0f;"])),
]  # fmt: skip

_FILL = [
    "const float *x = (const float *)rows[0];",
    "const float count = *(const float *)rows[1];",
    "float *out = (float *)out_row;",
    *block("for (uint32_t o = 0; o < a->outer; ++o)",
        block("for (uint32_t i = 0; i < a->size; ++i)",
            block("for (uint32_t k = 0; k < a->inner; ++k, ++x)", ["*out++ = (float)i < count ? *x : a->value;"]))),
]  # fmt: skip

#: For the caller, who steps through an array with it, a whole number from 0 to the size of the axis, whatever it is.
_COUNT = [
    "const float count = *(const float *)rows[0];",
    "uint32_t whole = 0;",
    *block("while (whole < a->most && (float)whole < count)", ["++whole;"]),
    "*(int32_t *)out_row = (int32_t)whole;",
]

_BODIES = {"f32_nonzero_none_flat": _NONZERO, "f32_fill_none_flat": _FILL, "i32_count_none_flat": _COUNT}
