"""How integer kernels make bytes of sums, to the bit as ``graph.integer`` says."""

from __future__ import annotations

from sparsenet.targets.c99.kernels.text import block

#: Adding it to a number of a magnitude below 2^22 rounds that to the nearest integer, halves to the even one; the low
#: bits of the sum are the integer.
ROUNDING, ROUNDING_BITS = "12582912.0f", "0x4B400000u"

#: What kernels call: a number to the byte that is nearest, between two bounds from which the zero point is taken.
SOURCE = f"""\
static inline uint8_t @byte(float number, float low, float high, int32_t zero)
{{
    uint32_t bits;
    if (!(number >= low)) {{
        number = low;
    }}
    if (number > high) {{
        number = high;
    }}
    number += {ROUNDING};
    memcpy(&bits, &number, sizeof bits);
    return (uint8_t)((int32_t)(bits - {ROUNDING_BITS}) + zero);
}}
"""


def bend(number: str, bent: bool) -> list[str]:
    """Multiply a number below 0, where a leaky ReLU follows."""
    return block(f"if ({number} < 0.0f)", [f"{number} *= a->bend;"]) if bent else []
