"""Convolution of maps in bytes by groups of four nonzero quads of weights, 16 multiply-adds in one instruction of MVE.

The pixels that the windows of a tile see are copied first, less 128, the zero point where a row is padding. Columns as
far apart as windows are lie together, so that a tap of neighbouring windows is a word behind the other: four places,
gathered from one word further on each time, are a group's pixels of one window after the other. A group is 16 weights,
two in a word of 16 bits, and behind them the places of their quads in bytes; where quads lack, weights are zero.
"""

from __future__ import annotations

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import mve
from sparsenet.targets.c99.kernels.conv_bytes import opened
from sparsenet.targets.c99.kernels.mve import sum_places
from sparsenet.targets.c99.kernels.text import block, indented, named

#: Pixels of a tile: their sums are in registers, of which the instruction takes every second one.
MOST_SUMS = 8
#: Words of 16 bits of a group.
GROUP = QUAD * QUAD // 2 + QUAD
_COPIED = f"""\
/* What a tile of windows sees: `quads` of channels in each of `rows`, in each the columns of `phases`, remainders by
 * the stride, `length` words apart; `channel` words from quad to quad of a row, `before` columns before the first,
 * `span` of a window; a quad of a row that is padding. */
typedef struct {{
    uint32_t rows, quads, phases, length, stride, channel, before, span, padding;
}} @window;

static void @copied(uint32_t *to, const void **rows, const @window *w, uint32_t x0, uint32_t count)
{{
    const uint32_t seen = (count - 1u) * w->stride + w->span;
    for (uint32_t r = 0; r < w->rows; ++r) {{
        const uint32_t *x = (const uint32_t *)rows[r];
        const uint32_t apart = x == NULL ? 0u : w->stride, further = x == NULL ? 0u : w->channel;
#ifdef $MVE
        const uint32x4_t step = vmulq_n_u32(vidupq_n_u32(0, 1), apart);
#endif
        x = x == NULL ? &w->padding : x + (ptrdiff_t)(x0 * w->stride) - (ptrdiff_t)w->before;
        for (uint32_t q = 0; q < w->quads; ++q, x += further) {{
            for (uint32_t p = 0; p < w->phases; ++p, to += w->length) {{
                const uint32_t there = (seen - p + w->stride - 1u) / w->stride;
                const uint32_t *from = apart == 0u ? x : x + p;
#ifdef $MVE
                for (uint32_t i = 0; i < there; i += 4u, from += 4u * apart) {{
                    const uint32x4_t v = vldrwq_gather_shifted_offset_z_u32(from, step, vctp32q(there - i));
                    vstrwq_u32(to + i, veorq_u32(v, vdupq_n_u32({mve.FLIP})));
                }}
#else
                for (uint32_t i = 0; i < there; ++i, from += apart) {{
                    to[i] = *from ^ {mve.FLIP};
                }}
#endif
            }}
        }}
    }}
}}
"""
_WINDOW = "a->kernel_rows, a->quads, a->phases, a->length, a->stride, a->x_channel, a->before, a->span"


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line; in each, pixels are copied, then output channels made, four at a time."""
    tile = kernel.parameter("width")
    return indented([
        f"const @window window = {{{_WINDOW}, a->x_zero * 0x01010101u}};",
        f"uint32_t *const pixels = (uint32_t *)rows[a->kernel_rows + {kernel.parameter('add')}u];",
        "int32_t *const sums = (int32_t *)pixels + a->kernel_rows * a->quads * a->phases * a->length;",
        *opened(kernel),
        *block(f"for (uint32_t x0 = 0; x0 < a->width; x0 += {tile}u)", [
            f"const uint32_t count = a->width - x0 < {tile}u ? a->width - x0 : {tile}u;",
            "const uint16_t *group = a->groups;",
            "@copied(pixels, rows, &window, x0, count);",
            *block("for (uint32_t c = 0; c < a->c_out; c += 4u)", [
                "const uint32_t channels = a->c_out - c < 4u ? a->c_out - c : 4u;",
                f"group = @sums{tile}(channels, group, a->sizes + c, pixels, sums);",
                *mve.finished(kernel),
            ]),
        ]),
    ])  # fmt: skip


def _sums(tile: int) -> str:
    """The sums of up to four channels. A function of its own: compilers keep the sums of eight pixels in registers only
    where little else is alive.
    """
    sums = named("s", tile)
    places = sum_places(tile)
    gathered = "vreinterpretq_s8_u32(vldrwq_gather_base_u32(at, {}))"
    taken = [
        f"at = vaddq_n_u32(vldrhq_u32(group + {QUAD * QUAD // 2}), (uint32_t)(uintptr_t)pixels);",
        "w = vldrbq_s8((const int8_t *)group);",
        f"group += {GROUP};",
    ]
    vectors = [
        f"int32_t {', '.join(sums)};",
        "uint32x4_t at;",
        "int8x16_t w;",
        *taken,
        *(f"{s} = vmladavq_s8({gathered.format(QUAD * t)}, w);" for t, s in enumerate(sums)),
        *block("while (group != end)", [
            *taken,
            *(f"{s} = vmladavaq_s8({s}, {gathered.format(QUAD * t)}, w);" for t, s in enumerate(sums)),
        ]),
        *mve.kept(sums, "sums"),
    ]  # fmt: skip
    plain = [
        *(f"sums[{place}] = 0;" for place in places),
        *block(f"for (; group != end; group += {GROUP})", block(f"for (uint32_t i = 0; i < {QUAD * QUAD}u; ++i)", [
            "const int32_t w = (int32_t)(((uint32_t)group[i / 2u] >> 8u * (i % 2u) & 255u) ^ 128u) - 128;",
            f"const int8_t *const x = (const int8_t *)pixels + group[{QUAD * QUAD // 2}u + i / 4u] + i % 4u;",
            *(f"sums[{place}] += w * x[{QUAD * t}];" for t, place in enumerate(places)),
        ])),
    ]  # fmt: skip
    lines = block("for (const uint16_t *const last = size + channels; size != last; ++size, sums += 4)", [
        "const uint16_t *const end = group + *size;", *mve.either(vectors, plain)
    ])  # fmt: skip
    return _SUMS.format(tile=tile, body="\n".join(indented(lines)))


_SUMS = """\
/* Sums of {tile} pixels of so many channels; returns the group behind theirs. */
#ifdef $MVE
__attribute__((noinline))
#endif
static const uint16_t *@sums{tile}(uint32_t channels, const uint16_t *group, const uint16_t *size,
    const uint32_t *pixels, int32_t *sums)
{{
{body}
    return group;
}}
"""
#: Helpers by the beginning of a call of them.
HELPERS = {**{f"@sums{tile}(": _sums(tile) for tile in range(1, MOST_SUMS + 1)}, "@copied(": _COPIED}
