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

#: Bits behind the point of results in fixed point, and the parameter ``clamp`` of kernels that make bytes so.
FRACTION, FIXED = 4, 3

#: Helpers by the beginning of their names; those that others call come behind them.
HELPERS = {
    "@rounded(": """\
/* The nearest integer to a number of at most 2^21, plus another. */
$INLINE int32_t @rounded(float number, int32_t added)
{
    uint32_t bits;
    number += 12582912.0f;
    memcpy(&bits, &number, sizeof bits);
    return (int32_t)(bits - 0x4B400000u) + added;
}
""",
    "@clamped(": """\
$INLINE float @clamped(float number, float low, float high)
{
    return !(number >= low) ? low : number > high ? high : number;
}
""",
    "@product(": """\
/* A product, rounded: compilers may not make one operation of it and a sum, which they do unless told otherwise. */
$INLINE float @product(float x, float y)
{
#if defined(__GNUC__) && defined(__arm__) && defined(__ARM_FP)
    float product = x * y;
    __asm__("" : "+t"(product));
#elif defined(__GNUC__) && defined(__aarch64__)
    float product = x * y;
    __asm__("" : "+w"(product));
#else
    const volatile float product = x * y;
#endif
    return product;
}
""",
    "@byte(": """\
$INLINE int32_t @byte(int32_t number)
{
    return number < 0 ? 0 : number > 255 ? 255 : number;
}
""",
    "@scaled(": """\
/* The upper half of a product, and another number: one instruction where there is one. */
$INLINE int32_t @scaled(int32_t number, int32_t factor, int32_t added)
{
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
    __asm__("smmla %0, %1, %2, %3" : "=r"(number) : "r"(number), "r"(factor), "r"(added));
    return number;
#else
    return (int32_t)((int64_t)number * factor >> 32) + added;
#endif
}
""",
    "@store_quad(": """\
$INLINE void @store_quad(uint8_t *out, uint32_t v)
{
#if defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_BIG_ENDIAN)
    memcpy(out, &v, sizeof v);
#else
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
    out[2] = (uint8_t)(v >> 16);
    out[3] = (uint8_t)(v >> 24);
#endif
}
""",
    "@quad(": """\
/* Four bytes as a word, the first in its lowest bits. */
$INLINE uint32_t @quad(const void *x)
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
    "@dot4": """\
#if defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_BIG_ENDIAN)
#include <arm_acle.h>
#define $SIMD32
#endif

/* A quad as pairs of 16 bits: bytes 0 and 2, and 1 and 3. */
typedef struct {
    uint32_t even, odd;
} @pairs;

/* Adds the products of the quads of two neighbouring pixels and one of weights; returns what is behind the pixels. */
$INLINE const @pairs *@dot4(const @pairs *x, @pairs w, int32_t *first, int32_t *second)
{
#if defined($SIMD32) && defined(__GNUC__) && defined(__OPTIMIZE__) /* it takes too many registers otherwise */
    int32_t a = *first, b = *second;
    __asm__("ldmia %0!, {r4, r5, r6, r8}; smlad %1, r4, %3, %1; smlad %2, r6, %3, %2; "
            "smlad %1, r5, %4, %1; smlad %2, r8, %4, %2"
            : "+r"(x), "+r"(a), "+r"(b) : "r"(w.even), "r"(w.odd) : "r4", "r5", "r6", "r8", "memory");
    *first = a;
    *second = b;
    return x;
#else
    *first = @dot2(x[0].odd, w.odd, @dot2(x[0].even, w.even, *first));
    *second = @dot2(x[1].odd, w.odd, @dot2(x[1].even, w.even, *second));
    return x + 2;
#endif
}

/* The same of one pixel. */
$INLINE const @pairs *@dot4_once(const @pairs *x, @pairs w, int32_t *sum)
{
    *sum = @dot2(x->odd, w.odd, @dot2(x->even, w.even, *sum));
    return x + 1;
}

/* Of bytes of pixels. */
$INLINE @pairs @of_pixel(uint32_t quad)
{
#ifdef $SIMD32
    @pairs made;
    made.even = __uxtb16(quad);
#if defined(__GNUC__)
    __asm__("uxtb16 %0, %1, ror #8" : "=r"(made.odd) : "r"(quad));
#else
    made.odd = __uxtb16(quad >> 8);
#endif
#else
    const @pairs made = {quad & 0x00FF00FFu, quad >> 8 & 0x00FF00FFu};
#endif
    return made;
}

/* Of weights. */
$INLINE @pairs @of_weights(uint32_t quad)
{
#ifdef $SIMD32
    @pairs made;
    made.even = (uint32_t)__sxtb16((int32_t)quad);
#if defined(__GNUC__)
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(made.odd) : "r"(quad));
#else
    made.odd = (uint32_t)__sxtb16((int32_t)(quad >> 8));
#endif
#else
    const @pairs made = {
        ((uint32_t)(int8_t)(quad & 255u) & 0xFFFFu) | (uint32_t)(int8_t)(quad >> 16 & 255u) << 16,
        ((uint32_t)(int8_t)(quad >> 8 & 255u) & 0xFFFFu) | (uint32_t)(int8_t)(quad >> 24) << 16,
    };
#endif
    return made;
}
""",
    "@short(": """\
$INLINE int32_t @short(const uint8_t *x)
{
    return (int16_t)(uint16_t)(x[0] | x[1] << 8);
}
""",
    "@dot2(": """\
/* Adds the products of two bytes, as a pair of 16 bits, and a pair of weights: one instruction where there is one. */
#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#define @dot2(x, w, sum) __smlad((int32_t)(x), (int32_t)(w), (sum))
#else
$INLINE int32_t @dot2(uint32_t x, uint32_t w, int32_t sum)
{
    sum += (int32_t)(x & 0xFFFFu) * (int16_t)(w & 0xFFFFu);
    return sum + (int32_t)(x >> 16) * (int16_t)(w >> 16);
}
#endif
""",
    "@max4(": """\
/* The larger of each of four bytes. */
#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#endif
$INLINE uint32_t @max4(uint32_t x, uint32_t y)
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


def begun(kernel: Kernel) -> list[str]:
    """What goes along with the channels, in fixed point: pointers to terms, and to pixel ``x0`` of the result."""
    if kernel.parameter("clamp") != FIXED:
        return []
    out = [] if kernel.parameter("mean") else ["uint8_t *out = (uint8_t *)out_row + 4u * x0;"]
    return ["const int32_t *term = a->terms;", *out]


def next_channel(kernel: Kernel) -> list[str]:
    """Moves them on from channel ``c``."""
    if kernel.parameter("clamp") != FIXED:
        return []
    moved = [] if kernel.parameter("mean") else [f"out += {after('a->out_channel')};"]
    return ["term += 3;", *moved]


def after(line: str) -> str:
    """How far the byte of the next channel is from that of channel ``c``, where a channel's pixels are ``line``."""
    return f"c % 4u != 3u ? 1 : 4 * (ptrdiff_t){line} - 3"


def bias(kernel: Kernel, sums: Sequence[str]) -> str:
    """What the sums of channel ``c`` begin with."""
    first = "*term" if kernel.parameter("clamp") == FIXED else "a->bias[c]"
    return f"int32_t {sums[0]} = {first}{''.join(f', {s} = {sums[0]}' for s in sums[1:])};"


def finished(kernel: Kernel, sums: Sequence[str], behind: str = "") -> list[str]:
    """Make bytes of the sums of channel ``c``, neighbouring pixels from ``x0`` on, and store them, or add up how far
    they are from the zero point, where only their mean is wanted. In fixed point ``begun`` is to point to the first of
    the pixels, or so many bytes before, in C.
    """
    lines, fixed = ["const int32_t zero = (int32_t)a->zero;"], kernel.parameter("clamp") == FIXED
    if kernel.parameter("mean"):
        lines.append(f"int32_t total = {-len(sums)} * zero;")
        store = [*(f"total += {s};" for s in sums), "((int32_t *)out_row)[c] += total;"]
    else:
        place = f"{behind} + " if behind and fixed else ""
        store = [f"out[{place}{QUAD * t}] = (uint8_t){s};" for t, s in enumerate(sums)]
        if not fixed:
            lines.append(
                "uint8_t *out = (uint8_t *)out_row + 4u * (x0 + (size_t)(c / 4u) * a->out_channel) + c % 4u;"
            )
    return [*lines, *(_by_fixed_point(sums) if fixed else _by_float(kernel, sums)), *store]


def _by_fixed_point(sums: Sequence[str]) -> list[str]:
    """By the line of the channel; in float32, if there is none. See ``lower.fixed_point``."""
    return [
        "const int32_t factor = term[1], added = term[2];",
        *block("if (added == INT32_MIN)", [
            f"int32_t numbers[{len(sums)}] = {{{', '.join(sums)}}};",
            "float multiplier;",
            "memcpy(&multiplier, &factor, sizeof multiplier);",
            *block(f"for (uint32_t t = 0; t < {len(sums)}u; ++t)", [
                f"numbers[t] = @rounded(@product((float)numbers[t], multiplier), zero) * {1 << FRACTION};",
            ]),
            *(f"{s} = numbers[{t}];" for t, s in enumerate(sums)),
        ]),
        *block("else", [f"{s} = @scaled({s}, factor, added);" for s in sums]),
        *(f"{s} = @byte({s} >> {FRACTION});" for s in sums),
    ]  # fmt: skip


def _by_float(kernel: Kernel, sums: Sequence[str]) -> list[str]:
    """By products in float32."""
    bent, added, clamp = (kernel.parameter(name) for name in ("bend", "add", "clamp"))
    lines = ["const float multiplier = a->multiplier[c];"]
    if clamp == 2:
        lines.append("const float low = (float)(a->low[c] - zero), high = (float)(a->high[c] - zero);")
    elif clamp == 1:
        lines.append("const int32_t low = a->low[c], high = a->high[c];")
    if added:
        lines += [
            "const uint8_t *other = (const uint8_t *)rows[a->kernel_rows];",
            "other += 4u * (x0 + (size_t)(c / 4u) * a->other_channel) + c % 4u;",
        ]
    for t, s in enumerate(sums):
        made = [f"float number = @product((float){s}, multiplier);"]
        if added:
            made = [
                f"const float far = (float)((int32_t)other[{QUAD * t}] - (int32_t)a->other_zero);",
                f"float number = @product((float){s}, multiplier) + @product(far, a->share);",
            ]
        lines += block("", [*made, *bend("number", bool(bent)), *_to_byte(s, clamp)])
    return lines


def _to_byte(byte: str, clamp: int) -> list[str]:
    """The integer nearest to ``number``: clamped to 0 to 255, between levels, or before it is rounded, where it may be
    large.
    """
    if clamp == 2:
        return [f"{byte} = @rounded(@clamped(number, low, high), zero);"]
    if clamp == 0:
        return [f"{byte} = @byte(@rounded(number, zero));"]
    return [
        f"{byte} = @rounded(number, zero);",
        f"{byte} = {byte} < low ? low : {byte};",
        f"{byte} = {byte} > high ? high : {byte};",
    ]


def bend(number: str, bent: bool) -> list[str]:
    """Multiply a number below 0, where a leaky ReLU follows."""
    return block(f"if ({number} < 0.0f)", [f"{number} = @product({number}, a->bend);"]) if bent else []
