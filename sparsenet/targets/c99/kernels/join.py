"""Channels of maps in bytes put together."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(_kernel: Kernel) -> list[str]:
    """Map by map: whole quads, the last perhaps with bytes that the next map replaces, where one begins; else bytes."""
    return indented([
        "uint32_t first = 0;",
        "(void)y;",
        *block("for (uint32_t k = 0; k < a->operands; ++k)", [
            "const uint32_t end = (uint32_t)a->lines[k];",
            "const size_t step = 4u * (size_t)(uint32_t)a->steps[k];",
            *block("for (uint32_t c = 0; c < end; c += first % 4u == 0u ? 4u : 1u)", [
                "const uint8_t *x = (const uint8_t *)rows[k] + (c / 4u) * step + c % 4u;",
                "uint8_t *out = (uint8_t *)out_row;",
                "out += 4u * (size_t)((first + c) / 4u) * a->out_step + (first + c) % 4u;",
                *block("if (first % 4u == 0u)", ["memcpy(out, x, 4u * (size_t)a->width);", "continue;"]),
                *block("for (uint32_t i = 0; i < 4u * a->width; i += 4u)", ["out[i] = x[i];"]),
            ]),
            "first += end;",
        ]),
    ])  # fmt: skip
