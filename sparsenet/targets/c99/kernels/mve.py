"""Pieces of kernels for MVE (Helium), the vectors of Cortex-M55 and M85: 16 bytes, or four int32 or float32 numbers.

Such a kernel is written twice, in intrinsics and in plain C, and gives the same bytes. It multiplies bytes of pixels
less 128, as instructions take two vectors that are both signed. Vectors of sums are four neighbouring pixels of one
channel; those of four channels become the 16 bytes of four quads.
"""

from __future__ import annotations

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.text import block

#: What is subtracted from bytes of pixels, and its exclusive or with a quad of them.
MIDDLE, FLIP = 128, "0x80808080u"
#: Numbers of a vector.
LANES = 4
#: Helpers by what is found of them in a kernel; the last of them includes what the others need.
HELPERS = {
    "@nearest16(": """\
#ifdef $MVE
/* The bytes nearest to the numbers of four channels, halves to the even one, plus the zero point, pixel by pixel.
 * Halves of vectors that are replaced later are those of numbers no longer needed. */
static inline uint8x16_t @nearest16(const float32x4_t *x, int16_t zero)
{
    int16x8_t even = vqmovnbq_s32(vreinterpretq_s16_f32(x[0]), vcvtnq_s32_f32(x[0]));
    int16x8_t odd = vqmovnbq_s32(vreinterpretq_s16_f32(x[1]), vcvtnq_s32_f32(x[1]));
    even = vqaddq_n_s16(vqmovntq_s32(even, vcvtnq_s32_f32(x[2])), zero);
    odd = vqaddq_n_s16(vqmovntq_s32(odd, vcvtnq_s32_f32(x[3])), zero);
    return vqmovuntq_s16(vqmovunbq_s16(vreinterpretq_u8_f32(x[2]), even), odd);
}
#endif
""",
    "$MVE": """\
/* Whether there are vectors with float32 lanes on Cortex-M. */
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2)
#include <arm_mve.h>
#define $MVE
#endif
""",
}


def either(vectors: list[str], plain: list[str]) -> list[str]:
    """Lines with intrinsics, or those in plain C that do the same."""
    return ["#ifdef $MVE", *vectors, *(["#else", *plain] if plain else []), "#endif"]


def finished(kernel: Kernel, room: str, *, bias: bool = False) -> list[str]:
    """Make bytes of ``sums``, of four channels from ``c`` on those of ``count`` pixels, the next channel's ``room``
    numbers further on, and store them at ``x0``, or add up how far they are from the zero point. ``bias``: the sums
    lack it.
    """
    clamp, added, mean = (kernel.parameter(name) for name in ("clamp", "add", "mean"))
    vectors = [
        "const float *const multiplier = a->multiplier + c;",
        *(f"const float m{j} = multiplier[{j}];" for j in range(QUAD)),
        *(f"const int32_t b{j} = a->bias[c + {j}u];" for j in range(QUAD) if bias),
        "const int16_t zero = (int16_t)a->zero;",
        *(_levels() if clamp else []),
        *(_other() if added else []),
        *(["uint32_t total0 = 0, total1 = 0, total2 = 0, total3 = 0;"] if mean else [_OUT]),
        *block(f"for (uint32_t t = 0; t < count; t += {LANES}u)", [
            *(["const mve_pred16_t there = vctp32q(count - t);"] if kernel.parameter("tail") else []),
            f"float32x4_t number[{QUAD}];",
            *(line for j in range(QUAD) for line in _number(kernel, j, room, bias)),
            "uint8x16_t byte = @nearest16(number, zero);",
            *(["byte = vminq_u8(vmaxq_u8(byte, low), high);"] if clamp else []),
            *(_totals(kernel) if mean else [_stored(kernel)]),
        ]),
        *(_added_totals() if mean else []),
    ]  # fmt: skip
    plain = block(f"for (uint32_t j = 0; j < {QUAD}u && c + j < a->c_out; ++j)", [
        "const uint32_t first = c, tile = x0;",
        *block("for (uint32_t t = 0; t < count; ++t)", [
            "const size_t c = first + j, x0 = tile + t;",
            f"int32_t sum = sums[j * {room} + t]{' + a->bias[c]' if bias else ''};",
            *to_bytes.finished(kernel, ["sum"]),
        ]),
    ])  # fmt: skip
    return either(vectors, plain)


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


def _number(kernel: Kernel, j: int, room: str, bias: bool) -> list[str]:
    """The numbers of channel ``j`` of four, four pixels from ``t`` on."""
    bent, added = (kernel.parameter(name) for name in ("bend", "add"))
    sums = f"vldrwq_s32(sums + {j}u * {room} + t)"
    sums = f"vaddq_n_s32({sums}, b{j})" if bias else sums
    lines = [f"number[{j}] = vmulq_n_f32(vcvtq_f32_s32({sums}), m{j});"]
    if added:
        z, there = ("_z", ", there") if kernel.parameter("tail") else ("", "")
        far = f"vreinterpretq_s32_u32(vldrbq_gather_offset{z}_u32(other + 4u * t + {j}u, steps{there}))"
        more = f"vmulq_n_f32(vcvtq_f32_s32(vsubq_n_s32({far}, (int32_t)a->other_zero)), a->share)"
        lines.append(f"number[{j}] = vaddq_f32(number[{j}], {more});")
    if bent:
        below = f"vcmpltq_n_f32(number[{j}], 0.0f)"
        lines.append(f"number[{j}] = vmulq_m_n_f32(number[{j}], number[{j}], a->bend, {below});")
    return lines


def _stored(kernel: Kernel) -> str:
    if kernel.parameter("tail"):
        return "vstrwq_p_u32((uint32_t *)(out + 4u * t), vreinterpretq_u32_u8(byte), there);"
    return "vstrbq_u8(out + 4u * t, byte);"


def _totals(kernel: Kernel) -> list[str]:
    """Of each channel, its byte of each quad that is there."""
    p, there = ("_p", ", there") if kernel.parameter("tail") else ("", "")
    ones = [f"vreinterpretq_u8_u32(vdupq_n_u32({1 << 8 * j}u))" for j in range(QUAD)]
    return [f"total{j} = vmladavaq{p}_u8(total{j}, byte, {one}{there});" for j, one in enumerate(ones)]


def _added_totals() -> list[str]:
    lines = ["int32_t *const out = (int32_t *)out_row + c;"]
    for j in range(QUAD):
        lines += block(f"if (c + {j}u < a->c_out)", [f"out[{j}] += (int32_t)(total{j} - count * a->zero);"])
    return lines
