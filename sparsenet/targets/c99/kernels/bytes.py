"""How integer kernels make bytes of sums, to the bit as ``graph.integer`` says, and how they multiply quads.

Adding ``ROUNDING`` to a number of a magnitude below 2^22 rounds it to the nearest integer, halves to the even one; the
low bits of the sum are the integer.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block

#: A larger number, before it is clamped, must be clamped as a float.
MOST_ROUNDED = 2.0**21

#: Helpers by the beginning of a call of them.
HELPERS = {
    "@rounded(": """\
/* The nearest integer to a number of at most 2^21, plus another. */
static inline int32_t @rounded(float number, int32_t added)
{
    uint32_t bits;
    number += 12582912.0f;
    memcpy(&bits, &number, sizeof bits);
    return (int32_t)(bits - 0x4B400000u) + added;
}
""",
    "@clamped(": """\
static inline float @clamped(float number, float low, float high)
{
    return !(number >= low) ? low : number > high ? high : number;
}
""",
    "@quad(": """\
/* Four bytes as a word, the first in its lowest bits. */
static inline uint32_t @quad(const void *x)
{
#if defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_BIG_ENDIAN)
    uint32_t v;
    memcpy(&v, x, sizeof v);
    return v;
#else
    const uint8_t *p = (const uint8_t *)x;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
#endif
}
""",
    "@dot(": """\
/* Sums of products of a quad's bytes 0 and 2, and 1 and 3: two in one instruction where there is one. */
#if defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_BIG_ENDIAN)
#include <arm_acle.h>
#define $UNSIGNED(v) ((uint32_t)__uxtb16(v))
#define $SIGNED(v) ((uint32_t)__sxtb16((int32_t)(v)))
#define @dot(x, w, sum) __smlad((int32_t)(x), (int32_t)(w), (sum))
#else
#define $UNSIGNED(v) ((v) & 0x00FF00FFu)
#define $SIGNED(v) (((v) & 0x00FF00FFu) ^ 0x00800080u)
static inline int32_t @dot(uint32_t x, uint32_t w, int32_t sum)
{
    sum += (int32_t)(x & 0xFFFFu) * ((int32_t)(w & 0xFFFFu) - 128);
    return sum + (int32_t)(x >> 16) * ((int32_t)(w >> 16) - 128);
}
#endif
""",
    "@max4(": """\
/* The larger of each of four bytes. */
#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#endif
static inline uint32_t @max4(uint32_t x, uint32_t y)
{
#if defined(__ARM_FEATURE_SIMD32)
    return (uint32_t)__uqsub8(x, y) + y;
#else
    uint32_t most = 0;
    for (uint32_t shift = 0; shift < 32u; shift += 8u) {
        const uint32_t a = x >> shift & 255u, b = y >> shift & 255u;
        most |= (a > b ? a : b) << shift;
    }
    return most;
#endif
}
""",
}


def finished(kernel: Kernel, sums: Sequence[str]) -> list[str]:
    """Make bytes of the sums of channel ``c``, neighbouring pixels from ``x0`` on, and store them, or add up how far
    they are from the zero point, where only their mean is wanted.

    A product that a number is added to is volatile: compilers may not make one operation of both.
    """
    bent, added, clamp, mean = (kernel.parameter(name) for name in ("bend", "add", "clamp", "mean"))
    lines = ["const float multiplier = a->multiplier[c];", "const int32_t zero = (int32_t)a->zero;"]
    if clamp == 2:
        lines.append("const float low = (float)(a->low[c] - zero), high = (float)(a->high[c] - zero);")
    elif clamp == 1:
        lines.append("const int32_t low = a->low[c], high = a->high[c];")
    if mean:
        lines.append("int32_t total = 0;")
    else:
        lines.append(
            "uint8_t *out = (uint8_t *)out_row + 4u * (x0 + (size_t)(c / 4u) * a->out_channel) + c % 4u;"
        )
    if added:
        lines += [
            "const uint8_t *other = (const uint8_t *)rows[a->kernel_rows];",
            "other += 4u * (x0 + (size_t)(c / 4u) * a->other_channel) + c % 4u;",
        ]
    for t, s in enumerate(sums):
        made = [f"float number = (float){s} * multiplier;"]
        if added:
            made = [
                f"const volatile float own = (float){s} * multiplier;",
                f"const volatile float more = (float)((int32_t)other[{QUAD * t}] - (int32_t)a->other_zero) * a->share;",
                "float number = own + more;",
            ]
        made += [*bend("number", bool(bent)), *to_byte("number", clamp)]
        made.append("total += byte - zero;" if mean else f"out[{QUAD * t}] = (uint8_t)byte;")
        lines += block("", made)
    return [*lines, *(["((int32_t *)out_row)[c] += total;"] if mean else [])]


def to_byte(number: str, clamp: int) -> list[str]:
    """``byte``, the integer nearest to a number: clamped to 0 to 255, between levels, or before it is rounded, where
    it may be large.
    """
    if clamp == 2:
        return [f"const int32_t byte = @rounded(@clamped({number}, low, high), zero);"]
    low, high = ("low", "high") if clamp else ("0", "255")
    return [
        f"int32_t byte = @rounded({number}, zero);",
        f"byte = byte < {low} ? {low} : byte;",
        f"byte = byte > {high} ? {high} : byte;",
    ]


def bend(number: str, bent: bool) -> list[str]:
    """Multiply a number below 0, where a leaky ReLU follows."""
    return block(f"if ({number} < 0.0f)", [f"{number} *= a->bend;"]) if bent else []
