"""Products of two maps in bytes, or of a map and a byte for each channel."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.text import block, indented


def body(kernel: Kernel) -> list[str]:
    """Channel by channel, so that what is the same for all its pixels is read once."""
    per_channel = kernel.parameter("per_channel")
    z = "const int32_t r = (int32_t)z[{}] - (int32_t)a->z_zero;"
    return indented([
        "const int32_t zero = (int32_t)a->zero;",
        "const float low = (float)((int32_t)a->low - zero), high = (float)((int32_t)a->high - zero);",
        "(void)y;",
        *block("for (uint32_t c = 0; c < 4u * a->channels; ++c)", [
            "const uint8_t *x = (const uint8_t *)rows[0] + 4u * (size_t)(c / 4u) * a->x_channel + c % 4u;",
            "const uint8_t *z = (const uint8_t *)rows[1] + 4u * (size_t)(c / 4u) * a->z_channel + c % 4u;",
            "uint8_t *out = (uint8_t *)out_row + 4u * (size_t)(c / 4u) * a->out_channel + c % 4u;",
            *([z.format("0")] if per_channel else []),
            *block("for (uint32_t i = 0; i < 4u * a->width; i += 4u)", [
                *([] if per_channel else [z.format("i")]),
                "float number = (float)(((int32_t)x[i] - (int32_t)a->x_zero) * r) * a->share;",
                *to_bytes.bend("number", bool(kernel.parameter("bend"))),
                "out[i] = (uint8_t)@rounded(@clamped(number, low, high), zero);",
            ]),
        ]),
    ])  # fmt: skip
