"""Rows of the caller's image, put where convolutions find them."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block


def body(kernel: Kernel) -> list[str]:
    """Line by line; ``pixel`` numbers from one pixel to the next, ``y`` from one channel to the next."""
    in_bytes = kernel.family_name == "f32_input_u8_rows"
    step = kernel.parameter("pixel")
    at = "x" if step == 1 else f"x * {step}u"
    number = f"$FMA((float)line[{at}], scale, shift)" if in_bytes else f"line[{at}]"
    c_type = "uint8_t" if in_bytes else "float"
    return [
        f"    const {c_type} *line = (const {c_type} *)rows[0];",
        "    float *out = (float *)out_row;",
        *(
            f"    {text}"
            for text in block(
                "for (uint32_t c = 0; c < a->channels; ++c)",
                [
                    *(["const float scale = a->scale[c], shift = a->shift[c];"] if in_bytes else []),
                    *block("for (uint32_t x = 0; x < a->width; ++x)", [f"out[x] = {number};"]),
                    "line += y;",
                    "out += a->out_channel;",
                ],
            )
        ),
    ]
