"""Convolution of maps in bytes by groups of four nonzero quads of weights, 16 multiply-adds in one instruction of MVE.

The pixels that the windows of a tile see are copied first, less 128, the zero point where a row is padding. Columns as
far apart as windows are lie together, so that a tap of neighbouring windows is a word behind the other: four places,
gathered from one word further on each time, are a group's pixels of one window after the other. Groups that lack quads
are filled with zero weights.
"""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import mve
from sparsenet.targets.c99.kernels.conv_bytes import opened
from sparsenet.targets.c99.kernels.text import block, indented, named

#: Numbers from the sums of one channel to the next.
_ROOM = 8


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line; in each, pixels are copied, then output channels made, four at a time."""
    tile = kernel.parameter("width")
    return indented([
        f"uint32_t *const pixels = (uint32_t *)rows[a->kernel_rows + {kernel.parameter('add')}u];",
        "const uint32_t stride = a->stride, quads = a->quads, phases = a->phases, length = a->length;",
        "const uint32_t padding = a->x_zero * 0x01010101u;",
        "int32_t *const sums = (int32_t *)pixels + a->kernel_rows * quads * phases * length;",
        *opened(kernel),
        *block(f"for (uint32_t x0 = 0; x0 < a->width; x0 += {tile}u)", [
            f"const uint32_t count = a->width - x0 < {tile}u ? a->width - x0 : {tile}u;",
            *_copied(),
            *_channels(kernel, tile),
        ]),
    ])  # fmt: skip


def _copied() -> list[str]:
    """Row by row of the window, quad by quad, the columns of each remainder by the stride."""
    return [
        "const uint32_t seen = (count - 1u) * stride + a->span;",
        "uint32_t *to = pixels;",
        *block("for (uint32_t r = 0; r < a->kernel_rows; ++r)", [
            "const uint32_t *x = (const uint32_t *)rows[r];",
            "const uint32_t apart = x == NULL ? 0u : stride, further = x == NULL ? 0u : a->x_channel;",
            *mve.either(["const uint32x4_t step = vmulq_n_u32(vidupq_n_u32(0, 1), apart);"], []),
            "x = x == NULL ? &padding : x + (ptrdiff_t)(x0 * stride) - (ptrdiff_t)a->before;",
            *block("for (uint32_t q = 0; q < quads; ++q, x += further)", [
                *block("for (uint32_t p = 0; p < phases; ++p, to += length)", [
                    "const uint32_t there = (seen - p + stride - 1u) / stride;",
                    "const uint32_t *from = apart == 0u ? x : x + p;",
                    *mve.either(
                        block("for (uint32_t i = 0; i < there; i += 4u, from += 4u * apart)", [
                            "const uint32x4_t v = vldrwq_gather_shifted_offset_z_u32(from, step, vctp32q(there - i));",
                            f"vstrwq_u32(to + i, veorq_u32(v, vdupq_n_u32({mve.FLIP})));",
                        ]),
                        block("for (uint32_t i = 0; i < there; ++i, from += apart)", [f"to[i] = *from ^ {mve.FLIP};"]),
                    ),
                ]),
            ]),
        ]),
    ]  # fmt: skip


def _channels(kernel: Kernel, tile: int) -> list[str]:
    sums = named("s", tile)
    gathered = "vreinterpretq_s8_u32(vldrwq_gather_base_u32(at, {}))"
    vectors = [
        f"int32_t {', '.join([f'{sums[0]} = bias[c + j]', *(f'{s} = {sums[0]}' for s in sums[1:])])};",
        "const uint16_t *const end = place + *nonzero++;",
        *block("while (place != end)", [
            "const uint32x4_t at = vaddq_n_u32(vldrhq_u32(place), (uint32_t)(uintptr_t)pixels);",
            "const int8x16_t v = vldrbq_s8(w);",
            *(f"{s} = vmladavaq_s8({s}, {gathered.format(4 * t)}, v);" for t, s in enumerate(sums)),
            "place += 4;",
            "w += 16;",
        ]),
        f"volatile int32_t *const sum = sums + {_ROOM}u * j;",
        *(f"sum[{t}] = {s};" for t, s in enumerate(sums)),
    ]  # fmt: skip
    plain = [
        "const uint32_t places = *nonzero++;",
        *block("for (uint32_t t = 0; t < count; ++t)", [
            "int32_t sum = bias[c + j];",
            *block("for (uint32_t i = 0; i < 4u * places; ++i)", [
                "sum += w[i] * ((const int8_t *)pixels)[place[i / 4u] + 4u * t + i % 4u];",
            ]),
            f"sums[{_ROOM}u * j + t] = sum;",
        ]),
        "place += places;",
        "w += 4u * places;",
    ]  # fmt: skip
    return [
        "const int8_t *w = a->weights;",
        "const uint16_t *place = a->places;",
        "const uint16_t *nonzero = a->counts;",
        "const int32_t *const bias = a->bias;",
        *block("for (uint32_t c = 0; c < a->c_out; c += 4u)", [
            "const uint32_t channels = a->c_out - c < 4u ? a->c_out - c : 4u;",
            *block("for (uint32_t j = 0; j < channels; ++j)", mve.either(vectors, plain)),
            *mve.finished(kernel, f"{_ROOM}u"),
        ]),
    ]  # fmt: skip
