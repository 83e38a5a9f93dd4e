"""Pieces of kernels for MVE (Helium), the vectors of Cortex-M55 and M85: 16 bytes, or four int32 or float32 numbers.

Such a kernel is written twice, in intrinsics and in plain C, and gives the same bytes. It multiplies bytes of pixels
less 128, as instructions take two vectors that are both signed. Lanes of results are the four channels of a quad.
"""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.text import block

#: What is subtracted from bytes of pixels, and its exclusive or with a quad of them.
MIDDLE, FLIP = 128, "0x80808080u"
#: Helpers by what is found of them in a kernel; the first of them includes what the others need.
HELPERS = {
    "@nearest4(": """\
#ifdef $MVE
/* The bytes nearest to numbers: halves to the even one, then the zero point is added; between levels. */
static inline int32x4_t @nearest4(float32x4_t number, int32_t zero, int32x4_t low, int32x4_t high)
{
    return vminq_s32(vmaxq_s32(vqaddq_n_s32(vcvtnq_s32_f32(number), zero), low), high);
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
    return ["#ifdef $MVE", *vectors, "#else", *plain, "#endif"]


def finished(kernel: Kernel) -> list[str]:
    """Make bytes of ``sums``, four channels from ``c`` on of each pixel of the tile at ``x0``, and store them, or add
    up how far they are from the zero point; of a tile that begins before the line's new pixels, from ``skip`` on.
    """
    bent, added, clamp, mean = (kernel.parameter(name) for name in ("bend", "add", "clamp", "mean"))
    every = f"for (uint32_t t = skip; t < {kernel.parameter('width')}u; ++t)"
    number = ["float32x4_t number = vmulq_f32(vcvtq_f32_s32(vldrwq_s32(sums + 4u * t)), multiplier);"]
    if added:
        number += [
            "const int32x4_t far = vsubq_n_s32(vreinterpretq_s32_u32(vldrbq_u32(other + 4u * t)), other_zero);",
            "number = vaddq_f32(number, vmulq_n_f32(vcvtq_f32_s32(far), share));",
        ]
    if bent:
        number.append("number = vmulq_m_n_f32(number, number, bend, vcmpltq_n_f32(number, 0.0f));")
    vectors = [
        "const mve_pred16_t there = vctp32q(a->c_out - c);",
        "const float32x4_t multiplier = vldrwq_z_f32(a->multiplier + c, there);",
        *(_levels("low", "a->low + c") if clamp else ["const int32x4_t low = vdupq_n_s32(0);"]),
        *(_levels("high", "a->high + c") if clamp else ["const int32x4_t high = vdupq_n_s32(255);"]),
        "const int32_t zero = (int32_t)a->zero;",
        *(["const float bend = a->bend;"] if bent else []),
        *(_other() if added else []),
        *(_totals(every, number) if mean else _stored(every, number)),
    ]
    one = [
        "const uint32_t first = c, tile = x0;",
        *block(f"for (uint32_t i = 4u * skip; i < {4 * kernel.parameter('width')}u; ++i)", block(
            "if (first + i % 4u < a->c_out)", [
                "const size_t c = first + i % 4u, x0 = tile + i / 4u;",
                *to_bytes.finished(kernel, ["sums[i]"]),
            ],
        )),
    ]  # fmt: skip
    return either(vectors, one)


def _levels(name: str, where: str) -> list[str]:
    return [f"const int32x4_t {name} = vreinterpretq_s32_u32(vldrbq_z_u32({where}, there));"]


def _other() -> list[str]:
    return [
        "const uint8_t *other = (const uint8_t *)rows[a->kernel_rows];",
        "const int32_t other_zero = (int32_t)a->other_zero;",
        "const float share = a->share;",
        "other += 4u * (x0 + (size_t)(c / 4u) * a->other_channel);",
    ]


_NEAREST = "@nearest4(number, zero, low, high)"


def _stored(every: str, number: list[str]) -> list[str]:
    return [
        "uint8_t *out = (uint8_t *)out_row + 4u * (x0 + (size_t)(c / 4u) * a->out_channel);",
        *block(every, [*number, f"vstrbq_u32(out + 4u * t, vreinterpretq_u32_s32({_NEAREST}));"]),
    ]


def _totals(every: str, number: list[str]) -> list[str]:
    return [
        "int32_t *out = (int32_t *)out_row + c;",
        "int32x4_t total = vldrwq_z_s32(out, there);",
        *block(every, [*number, f"total = vaddq_s32(total, vsubq_n_s32({_NEAREST}, zero));"]),
        "vstrwq_p_s32(out, total, there);",
    ]
