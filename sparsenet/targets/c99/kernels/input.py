"""Rows of the caller's image, put where convolutions find them."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(kernel: Kernel) -> list[str]:
    """Line by line; ``pixel`` numbers from one pixel to the next, ``y`` from one channel to the next."""
    pixel = kernel.parameter("pixel")
    at = "line[x]" if pixel == 1 else f"line[x * {pixel}u]"
    given = "float" if kernel.family_name == "f32_input_f32_rows" else "uint8_t"
    head = [f"const {given} *line = (const {given} *)rows[0];"]
    if kernel.family_name == "u8x4_input_bytes_rows":
        return indented([
            *head,
            "const uint8_t *table = a->table;",
            *block("for (uint32_t c = 0; c < a->channels; ++c)", [
                "uint8_t *out = (uint8_t *)out_row + 4u * (size_t)(c / 4u) * a->out_channel + c % 4u;",
                *block("for (uint32_t x = 0; x < a->width; ++x)", [f"out[4u * x] = table[{at}];"]),
                "line += y;",
                "table += a->apart;",
            ]),
        ])  # fmt: skip
    in_bytes = given == "uint8_t"
    number = f"$FMA((float){at}, scale, shift)" if in_bytes else at
    return indented([
        *head,
        "float *out = (float *)out_row;",
        *block("for (uint32_t c = 0; c < a->channels; ++c)", [
            *(["const float scale = a->scale[c], shift = a->shift[c];"] if in_bytes else []),
            *block("for (uint32_t x = 0; x < a->width; ++x)", [f"out[x] = {number};"]),
            "line += y;",
            "out += a->out_channel;",
        ]),
    ])  # fmt: skip
