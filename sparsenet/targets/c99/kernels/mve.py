"""Pieces of kernels for MVE (Helium), the vectors of Cortex-M55 and M85: 16 bytes, or four int32 or float32 numbers.

Such a kernel is written twice, in intrinsics and in plain C, and gives the same bytes. It multiplies bytes of pixels
less 128, as instructions take two vectors that are both signed. Vectors of sums are four neighbouring pixels of one
channel; those of four channels become the 16 bytes of four quads.
"""

from __future__ import annotations

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.text import block, indented

#: What is subtracted from bytes of pixels, and its exclusive or with a quad of them.
MIDDLE, FLIP = 128, "0x80808080u"
#: Numbers of a vector.
LANES = 4
_NEAREST = """\
#ifdef $MVE
/* The bytes nearest to the numbers of four channels, halves to the even one, plus the zero point, pixel by pixel.
 * Halves of vectors that are replaced later are those of numbers no longer needed. */
__attribute__((always_inline)) static inline uint8x16_t @nearest16(const float32x4_t *x, int16_t zero)
{
    int16x8_t even = vqmovnbq_s32(vreinterpretq_s16_f32(x[0]), vcvtnq_s32_f32(x[0]));
    int16x8_t odd = vqmovnbq_s32(vreinterpretq_s16_f32(x[1]), vcvtnq_s32_f32(x[1]));
    even = vqaddq_n_s16(vqmovntq_s32(even, vcvtnq_s32_f32(x[2])), zero);
    odd = vqaddq_n_s16(vqmovntq_s32(odd, vcvtnq_s32_f32(x[3])), zero);
    return vqmovuntq_s16(vqmovunbq_s16(vreinterpretq_u8_f32(x[2]), even), odd);
}
#endif
"""
_INCLUDED = """\
/* Whether there are vectors with float32 lanes on Cortex-M, and numbers in the order that their casts assume. */
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2) && !defined(__ARM_BIG_ENDIAN)
#include <arm_mve.h>
#define $MVE
#endif
"""


def either(vectors: list[str], plain: list[str]) -> list[str]:
    """Lines with intrinsics, or those in plain C that do the same."""
    return ["#ifdef $MVE", *vectors, *(["#else", *plain] if plain else []), "#endif"]


def sum_places(tile: int) -> list[int]:
    """Where the sums of a channel's pixels lie: vectors of four, behind each those of the three next channels."""
    return [t // LANES * LANES * QUAD + t % LANES for t in range(tile)]


def kept(sums: list[str], where: str = "sum") -> list[str]:
    """Store the sums of a channel's pixels. Compilers make vectors of them, by way of other memory, unless something is
    between the stores; two of them are one instruction.
    """
    lines = []
    for t, (place, s) in enumerate(zip(sum_places(len(sums)), sums, strict=True)):
        lines += [f"{where}[{place}] = {s};", *(['__asm volatile("" ::: "memory");'] if t % 2 else [])]
    return lines


def finished(kernel: Kernel) -> list[str]:
    """Make bytes of ``sums``, to which the bias is to be added, of four channels from ``c`` on and ``count`` pixels,
    and store them at ``x0``, or add up how far they are from the zero point. A vector of four pixels of one channel is
    followed by that of the next, and those of four channels by the next four pixels.
    """
    plain = block(f"for (uint32_t j = 0; j < {QUAD}u && c + j < a->c_out; ++j)", [
        "const uint32_t first = c, tile = x0;",
        *block("for (uint32_t t = 0; t < count; ++t)", [
            "const size_t c = first + j, x0 = tile + t;",
            "(void)x0;",
            "int32_t sum = sums[16u * (t / 4u) + 4u * j + t % 4u] + a->bias[c];",
            *to_bytes.finished(kernel, ["sum"]),
        ]),
    ])  # fmt: skip
    if not any(kernel.parameter(name) for name in ("bend", "add", "clamp", "mean")):
        return either(
            [_OUT, "@quads_of(sums, a->multiplier + c, a->bias + c, count, (int16_t)a->zero, out);"], plain
        )
    return either(_by_vectors(kernel), plain)


def _by_vectors(kernel: Kernel) -> list[str]:
    bent, added, clamp, mean = (kernel.parameter(name) for name in ("bend", "add", "clamp", "mean"))
    return [
        "const float *const multiplier = a->multiplier + c;",
        "const int32_t *const bias = a->bias + c, *from = sums;",
        "const int16_t zero = (int16_t)a->zero;",
        *_CONSTANTS,
        *(_levels() if clamp else []),
        *(_other() if added else []),
        *(["uint32_t total0 = 0, total1 = 0, total2 = 0, total3 = 0;"] if mean else [_OUT]),
        *block(f"for (uint32_t t = 0; t < count; t += {LANES}u, from += 16)", [
            "const mve_pred16_t there = vctp32q(count - t);",
            f"float32x4_t number[{QUAD}];",
            *(line for j in range(QUAD) for line in _number(j, bool(added), bool(bent))),
            "uint8x16_t byte = @nearest16(number, zero);",
            *(["byte = vminq_u8(vmaxq_u8(byte, low), high);"] if clamp else []),
            *(_totals() if mean else [_store_there("out + 4u * t")]),
        ]),
        *(_added_totals() if mean else []),
    ]  # fmt: skip


def _store_there(out: str) -> str:
    return f"vstrwq_p_u32((uint32_t *)({out}), vreinterpretq_u32_u8(byte), there);"


#: Of four channels, what their sums are made numbers by.
_CONSTANTS = [
    *(f"const float m{j} = multiplier[{j}];" for j in range(QUAD)),
    *(f"const int32_t b{j} = bias[{j}];" for j in range(QUAD)),
]
_OUT = "uint8_t *const out = (uint8_t *)out_row + 4u * (x0 + (size_t)(c / 4u) * a->out_channel);"


def _levels() -> list[str]:
    """Of four channels, for each of four pixels."""
    return [
        f"const uint8x16_t {name} = vreinterpretq_u8_u32(vdupq_n_u32(@quad(a->{name} + c)));"
        for name in ("low", "high")
    ]


def _other() -> list[str]:
    return [
        "const uint8_t *other = (const uint8_t *)rows[a->kernel_rows];",
        "const uint32x4_t steps = vidupq_n_u32(0, 4);",
        "other += 4u * (x0 + (size_t)(c / 4u) * a->other_channel);",
    ]


def _number(j: int, added: bool = False, bent: bool = False) -> list[str]:
    """The numbers of channel ``j`` of four, four pixels whose sums are at ``from``."""
    sums = f"vaddq_n_s32(vldrwq_s32(from + {QUAD * j}), b{j})"
    lines = [f"number[{j}] = vmulq_n_f32(vcvtq_f32_s32({sums}), m{j});"]
    if added:
        far = f"vreinterpretq_s32_u32(vldrbq_gather_offset_z_u32(other + 4u * t + {j}u, steps, there))"
        more = f"vmulq_n_f32(vcvtq_f32_s32(vsubq_n_s32({far}, (int32_t)a->other_zero)), a->share)"
        lines.append(f"number[{j}] = vaddq_f32(number[{j}], {more});")
    if bent:
        below = f"vcmpltq_n_f32(number[{j}], 0.0f)"
        lines.append(f"number[{j}] = vmulq_m_n_f32(number[{j}], number[{j}], a->bend, {below});")
    return lines


def _totals() -> list[str]:
    """Of each channel, its byte of each quad that is there."""
    ones = [f"vreinterpretq_u8_u32(vdupq_n_u32({1 << 8 * j}u))" for j in range(QUAD)]
    return [f"total{j} = vmladavaq_p_u8(total{j}, byte, {one}, there);" for j, one in enumerate(ones)]


def _added_totals() -> list[str]:
    lines = ["int32_t *const out = (int32_t *)out_row + c;"]
    for j in range(QUAD):
        lines += block(f"if (c + {j}u < a->c_out)", [f"out[{j}] += (int32_t)(total{j} - count * a->zero);"])
    return lines


def _quads_of() -> str:
    made = [f"float32x4_t number[{QUAD}];", *(line for j in range(QUAD) for line in _number(j))]
    made.append("const uint8x16_t byte = @nearest16(number, zero);")
    body = [
        *_CONSTANTS,
        *block(f"for (; count >= {LANES}u; count -= {LANES}u, from += 16, out += 16)", [
            *made, "vstrbq_u8(out, byte);"
        ]),
        *block("if (count != 0u)", ["const mve_pred16_t there = vctp32q(count);", *made, _store_there("out")]),
    ]  # fmt: skip
    return _QUADS_OF.format(body="\n".join(indented(body)))


_QUADS_OF = """\
#ifdef $MVE
/* Quads of bytes of the sums of four channels, for so many pixels. */
static void @quads_of(const int32_t *from, const float *multiplier, const int32_t *bias, uint32_t count, int16_t zero,
    uint8_t *out)
{{
{body}
}}
#endif
"""

#: Helpers by what is found of them in a kernel, those that call others first; the last includes what they need.
HELPERS = {"@quads_of(": _quads_of(), "@nearest16(": _NEAREST, "$MVE": _INCLUDED}
