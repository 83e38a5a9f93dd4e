"""Sparse convolution of maps in bytes, quads of channels: for every output channel a sum over its nonzeros.

The bias is that of sums of the bytes themselves; where a row of the window is padding, whose pixels are the zero point,
``absent`` has what it adds. Results are bytes, or, behind a fully connected layer, float32 numbers.
"""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.text import along_line, block, indented, named


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line, in each the output channels, in each the rows of the window, in each the nonzeros."""
    one_row, tile, stride, _, _, numbers = kernel.tile
    sums = named("s", tile)
    nonzeros = [
        "const uint16_t *const end = place + *count++;",
        *block("while (place != end)", [
            "const int32_t v = *w++;",
            "const uint8_t *p = x + *place++;",
            *(f"{s} += v * (int32_t)p[{4 * t * stride}];" for t, s in enumerate(sums)),
        ]),
    ]  # fmt: skip
    rows = nonzeros
    if not one_row:
        rows = block(
            "for (uint32_t r = 0; r < kernel_rows; ++r)",
            [
                "const uint8_t *x = (const uint8_t *)rows[r];",
                "const int32_t padding = *absent++;",
                *block(
                    "if (x == NULL)",
                    [
                        *(f"{s} += padding;" for s in sums),
                        "w += *count;",
                        "place += *count++;",
                        "continue;",
                    ],
                ),
                *nonzeros,
            ],
        )
    channels = block(
        "for (uint32_t c = 0; c < a->c_out; ++c)",
        [
            f"int32_t s0 = a->bias[c]{''.join(f', {s} = s0' for s in sums[1:])};",
            *rows,
            "const float multiplier = a->multiplier[c];",
            *(_numbers(sums) if numbers else _bytes(kernel, sums)),
        ],
    )
    return indented([
        *([] if one_row else ["const uint32_t kernel_rows = a->kernel_rows;"]),
        "(void)y;",
        *along_line(kernel, [
            "const int8_t *w = a->weights;",
            "const uint16_t *place = a->places;",
            "const uint16_t *count = a->counts;",
            *(["const uint8_t *x = (const uint8_t *)rows[0];"] if one_row else ["const int32_t *absent = a->absent;"]),
            *channels,
        ]),
    ])  # fmt: skip


def _numbers(sums: list[str]) -> list[str]:
    return [f"((float *)out_row)[c] = (float){sums[0]} * multiplier;"]


def _bytes(kernel: Kernel, sums: list[str]) -> list[str]:
    """A product that a number is added to is volatile: compilers may not make one operation of both."""
    bent, added = kernel.parameter("bend"), kernel.parameter("add")
    lines = [
        "uint8_t *out = (uint8_t *)out_row + 4u * (x0 + (size_t)(c / 4u) * a->out_channel) + c % 4u;",
        "const int32_t zero = (int32_t)a->zero;",
        "const float low = (float)((int32_t)a->low[c] - zero), high = (float)((int32_t)a->high[c] - zero);",
    ]
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
                f"const volatile float more = (float)((int32_t)other[{4 * t}] - (int32_t)a->other_zero) * a->share;",
                "float number = own + more;",
            ]
        made += [*to_bytes.bend("number", bool(bent)), f"out[{4 * t}] = @byte(number, low, high, zero);"]
        lines += block("", made)
    return lines
