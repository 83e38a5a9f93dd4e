"""Depthwise convolution of maps in bytes by columns of the window, for MVE: 16 multiply-adds in one instruction.

The pixels that the windows of a line see are copied first, less 128, the zero point where a row is padding, so that
four rows of one column are the bytes of a word: columns behind each other, in each the four channels of a quad. Four
columns are gathered and multiplied at once. Windows that are not multiples of four are filled with zero weights.
"""

from __future__ import annotations

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import mve
from sparsenet.targets.c99.kernels.conv_bytes import opened
from sparsenet.targets.c99.kernels.text import block, indented, named

#: Bytes of a column of a quad: a word for each channel.
COLUMN = 16


def body(kernel: Kernel) -> list[str]:
    """Quad by quad: a line is copied, then its sums made, channel by channel and tile by tile, then its bytes."""
    stride = kernel.parameter("stride")
    return indented([
        f"uint8_t *const pixels = (uint8_t *)rows[a->kernel_rows + {kernel.parameter('add')}u];",
        f"int32_t *const sums = (int32_t *)(pixels + {COLUMN}u * ((a->kernel_rows + 3u) / 4u) * a->columns);",
        f"const uint32_t x0 = 0, count = a->width, seen = (count - 1u) * {stride}u + a->span;",
        *(["(void)x0;"] if kernel.parameter("mean") else []),
        "const int8_t *w = a->weights;",
        *mve.either([
            "const uint8_t padding[16] = {0};",
            "const uint8x16_t step = vmulq_n_u8(vidupq_n_u8(0, 1), 4);",
        ], []),
        *opened(kernel),
        *block("for (uint32_t c = 0; c < a->c_out; c += 4u)", [
            *block("for (uint32_t r = 0; r < a->kernel_rows; ++r)", [
                f"uint8_t *const to = pixels + {COLUMN}u * (r / 4u) * a->columns + r % 4u;",
                "const uint8_t *x = (const uint8_t *)rows[r];",
                *block("if (x != NULL)", [
                    "x += 4 * ((ptrdiff_t)(c / 4u * a->x_channel) - (ptrdiff_t)a->before);",
                ]),
                *mve.either(_row_by_vectors(), _row()),
            ]),
            *block("for (uint32_t j = 0; j < 4u && c + j < a->c_out; ++j)", [
                *mve.either(_sums_by_vectors(kernel), _sums(kernel)),
                f"w += {COLUMN * kernel.parameter('vectors')};",
            ]),
            *mve.finished(kernel),
        ]),
    ])  # fmt: skip


def _row_by_vectors() -> list[str]:
    """Four columns at a time; the last four may overlap others."""
    store = "vstrbq_scatter_offset_u8(to + {}u * {}, step, veorq_u8(vldrbq_u8(x), flip));"
    return [
        "const uint8x16_t flip = vdupq_n_u8((uint8_t)(x == NULL ? 128u ^ a->x_zero : 128u));",
        "const uint32_t apart = x == NULL ? 0u : 4u, last = seen - 4u;",
        "const uint8_t *const end = x == NULL ? padding : x + 4u * last;",
        "x = x == NULL ? padding : x;",
        *block("for (uint32_t i = 0; i < last; i += 4u)", [store.format(COLUMN, "i"), "x += 4u * apart;"]),
        "x = end;",
        store.format(COLUMN, "last"),
    ]


def _row() -> list[str]:
    return block(
        "for (uint32_t i = 0; i < 4u * seen; ++i)",
        ["to[4u * i] = (uint8_t)((x == NULL ? a->x_zero : x[i]) ^ 128u);"],
    )


def _sums_by_vectors(kernel: Kernel) -> list[str]:
    tile, stride, vectors = (kernel.parameter(name) for name in ("width", "stride", "vectors"))
    sums, apart = named("s", tile), COLUMN * stride
    gathered = "vreinterpretq_s8_u32(vldrwq_gather_base_u32(at{}, {}))"
    places = "vaddq_n_u32(vldrhq_u32(a->places + {}), (uint32_t)(uintptr_t)pixels + 4u * j)"
    return [
        *(f"const int8x16_t w{v} = vldrbq_s8(w + {COLUMN * v});" for v in range(vectors)),
        *(f"uint32x4_t at{v} = {places.format(QUAD * v)};" for v in range(vectors)),
        "int32_t *sum = sums + 4u * j;",
        *block(f"for (uint32_t x = 0; x < count; x += {tile}u)", [
            f"int32_t {', '.join(sums)};",
            *(
                f"{s} = {'vmladavaq_s8(' + s + ', ' if v else 'vmladavq_s8('}{gathered.format(v, apart * t)}, w{v});"
                for v in range(vectors)
                for t, s in enumerate(sums)
            ),
            *mve.kept(sums),
            f"sum += {QUAD * tile};",
            *(f"at{v} = vaddq_n_u32(at{v}, {apart * tile}u);" for v in range(vectors)),
        ]),
    ]  # fmt: skip


def _sums(kernel: Kernel) -> list[str]:
    bytes_of_weights = COLUMN * kernel.parameter("vectors")
    return block("for (uint32_t t = 0; t < count; ++t)", [
        f"const int8_t *const p = (const int8_t *)pixels + {QUAD}u * j + {COLUMN * kernel.parameter('stride')}u * t;",
        "int32_t sum = 0;",
        *block(f"for (uint32_t i = 0; i < {bytes_of_weights}u; ++i)", ["sum += w[i] * p[a->places[i / 4u] + i % 4u];"]),
        "sums[16u * (t / 4u) + 4u * j + t % 4u] = sum;",
    ])  # fmt: skip
