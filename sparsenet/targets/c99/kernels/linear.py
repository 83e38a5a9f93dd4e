"""Fully connected layers."""

from __future__ import annotations

from sparsenet.targets.c99 import epilogue
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import results
from sparsenet.targets.c99.kernels.text import block, indented


def body(kernel: Kernel) -> list[str]:
    """Outputs one by one, each a sum over its inputs or its nonzeros."""
    in_bytes, sparse = "i8" in kernel.family_name, "csr" in kernel.family_name
    number = "(float)*w++" if in_bytes else "*w++"
    if sparse:
        sum_up = [
            "uint32_t n = *count++;",
            *block("for (; n != 0u; --n)", [f"const float v = {number};", "s0 = $FMA(v, x[*place++], s0);"]),
        ]
    else:
        sum_up = block(
            "for (uint32_t i = 0; i < a->c_in; ++i)",
            [f"const float v = {number};", "s0 = $FMA(v, x[i], s0);"],
        )
    return indented([
        "const float *x = (const float *)rows[0];",
        "float *out = (float *)out_row;",
        f"const {'int8_t' if in_bytes else 'float'} *w = a->weights;",
        *(["const uint16_t *place = a->places;", "const uint16_t *count = a->counts;"] if sparse else []),
        *epilogue.opened(kernel),
        *epilogue.open_residuals(kernel, "1u", "0"),
        "(void)y;",
        *block(
            "for (uint32_t c = 0; c < a->c_out; ++c)",
            [
                "float s0 = a->bias[c];",
                *sum_up,
                *results.scaled(in_bytes, ["s0"], "c"),
                *epilogue.finish(kernel, ["s0"], "c"),
                "out[c] = s0;",
                *epilogue.advance_residuals(kernel),
            ],
        ),
    ])  # fmt: skip
