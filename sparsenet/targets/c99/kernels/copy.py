"""Copies of rows, with fused ops: activations, scaling, additions that follow no other layer."""

from __future__ import annotations

from sparsenet.targets.c99 import epilogue
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(kernel: Kernel) -> list[str]:
    """Line by line, pixel by pixel."""
    pixel = [
        "float s0 = x[i];",
        *epilogue.finish(kernel, ["s0"], "c", "i" if epilogue.residuals(kernel) else ""),
        "out[i] = s0;",
    ]
    return indented([
        "const float *x = (const float *)rows[0];",
        "float *out = (float *)out_row;",
        *epilogue.opened(kernel),
        *epilogue.open_residuals(kernel, "1u", "0"),
        "(void)y;",
        *block(
            "for (uint32_t c = 0; c < a->channels; ++c)",
            [
                *block("for (uint32_t i = 0; i < a->width; ++i)", pixel),
                "x += a->x_channel;",
                "out += a->out_channel;",
                *epilogue.advance_residuals(kernel),
            ],
        ),
    ])  # fmt: skip
