"""Runs of numbers of a tensor in C order, each from a place that computed indices name."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented

#: Helpers by the beginning of a call of them.
HELPERS = {
    "@index(": """\
/* The nearest index of an axis: a negative one counts from the back, what leaves the axis stops at its end, NaN is 0.
 */
static uint32_t @index(float number, uint32_t size)
{
    double place = (double)number;
    if (place < -0.5) {
        place += (double)size;
    }
    if (!(place > 0.0)) {
        return 0;
    }
    return place > (double)(size - 1u) ? size - 1u : (uint32_t)(place + 0.5);
}
""",
}


def body(_kernel: Kernel) -> list[str]:
    """Run by run; each begins at a column of its block, as far on as its indices, times their strides, say."""
    return indented([
        "const float *number = (const float *)rows[1];",
        "float *out = (float *)out_row;",
        "(void)y;",
        *block("for (uint32_t run = 0; run < a->runs; ++run)", [
            "const float *x = (const float *)rows[0];",
            "x += (size_t)(run / a->block_runs) * a->block + run % a->block_runs % a->columns;",
            *block("for (uint32_t k = 0; k < a->depth; ++k)", [
                "x += (size_t)@index(*number++, (uint32_t)a->sizes[k]) * (size_t)a->strides[k];",
            ]),
            *block("for (uint32_t i = 0; i < a->inner; ++i)", ["*out++ = x[i];"]),
        ]),
    ])  # fmt: skip
