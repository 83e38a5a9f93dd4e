"""Functions in C that kernels for bytes share: rounding, quads of bytes, and products of two pairs at once.

Adding 1.5 * 2^23 to a number of a magnitude below 2^22 rounds it to the nearest integer, halves to the even one; the
low bits of the sum are the integer.
"""

from __future__ import annotations

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
