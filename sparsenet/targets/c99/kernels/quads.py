"""Maps in bytes: to and from float32, sums of two, functions by tables, pooling. All line by line of quads."""

from __future__ import annotations

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.text import block, indented


def body(kernel: Kernel) -> list[str]:
    """The kernel of this family."""
    return indented(_BODIES[kernel.family_name](kernel))


def _quantize(kernel: Kernel) -> list[str]:
    """Of a map, or of the caller's image, whose channels are ``y`` numbers apart and its pixels as many as told."""
    pixel, line = (kernel.parameter("pixel"), "y") if kernel.tile else (1, "a->x_channel")
    return [
        "const float *x = (const float *)rows[0];",
        "const float scale = a->scale;",
        "const int32_t zero = (int32_t)a->zero;",
        "const float low = (float)-zero, high = (float)(255 - zero);",
        "(void)y;",
        *block("for (uint32_t c = 0; c < a->channels; ++c)", [
            "uint8_t *out = (uint8_t *)out_row + 4u * (size_t)(c / 4u) * a->out_channel + c % 4u;",
            *block("for (uint32_t i = 0; i < a->width; ++i)", [
                f"out[4u * i] = (uint8_t)@rounded(@clamped(x[{pixel}u * i] / scale, low, high), zero);",
            ]),
            f"x += {line};",
        ]),
    ]  # fmt: skip


def _dequantize(_kernel: Kernel) -> list[str]:
    return [
        "float *out = (float *)out_row;",
        "(void)y;",
        *block("for (uint32_t c = 0; c < a->channels; ++c)", [
            "const uint8_t *x = (const uint8_t *)rows[0] + 4u * (size_t)(c / 4u) * a->x_channel + c % 4u;",
            *block("for (uint32_t i = 0; i < a->width; ++i)", [
                "out[i] = a->scale * (float)((int32_t)x[4u * i] - (int32_t)a->zero);"
            ]),
            "out += a->out_channel;",
        ]),
    ]  # fmt: skip


def _each_byte(pointers: list[str], lines: list[str]) -> list[str]:
    """For every byte ``i`` of the lines."""
    return [
        "uint8_t *out = (uint8_t *)out_row;",
        "(void)y;",
        *block("for (uint32_t q = 0; q < a->channels; ++q)", [
            *pointers,
            *block("for (uint32_t i = 0; i < 4u * a->width; ++i)", lines),
            "out += 4u * a->out_channel;",
        ]),
    ]  # fmt: skip


def _pointer(name: str, row: int) -> str:
    return f"const uint8_t *{name} = (const uint8_t *)rows[{row}] + 4u * (size_t)q * a->{name}_channel;"


def _table(_kernel: Kernel) -> list[str]:
    return [
        "const uint8_t *const table = a->table;",
        "(void)y;",
        *block("for (uint32_t q = 0; q < a->channels; ++q)", [
            _pointer("x", 0),
            "uint8_t *out = (uint8_t *)out_row + 4u * (size_t)q * a->out_channel;",
            *block("for (uint32_t i = 0; i < a->width; ++i)", [
                "const uint8_t made[4] = {table[x[0]], table[x[1]], table[x[2]], table[x[3]]};",
                *(f"out[{j}] = made[{j}];" for j in range(4)),
                "x += 4;",
                "out += 4;",
            ]),
        ]),
    ]  # fmt: skip


def _add(kernel: Kernel) -> list[str]:
    """Numbers of the arguments are read once: a byte that is stored may be anyone's."""
    bent = bool(kernel.parameter("bend"))
    return [
        "const int32_t zero = (int32_t)a->zero, x_zero = (int32_t)a->x_zero, z_zero = (int32_t)a->z_zero;",
        "const float x_share = a->x_share, z_share = a->z_share;",
        "const float low = (float)((int32_t)a->low - zero), high = (float)((int32_t)a->high - zero);",
        *_each_byte([_pointer("x", 0), _pointer("z", 1)], [
            "float number = @product((float)(x[i] - x_zero), x_share) + @product((float)(z[i] - z_zero), z_share);",
            *to_bytes.bend("number", bent),
            "out[i] = (uint8_t)@rounded(@clamped(number, low, high), zero);",
        ]),
    ]  # fmt: skip


def _window(kernel: Kernel, begin: str, each: str) -> list[str]:
    """A number of each byte's window, of the taps that are inside of the map."""
    stride, columns, dilation = kernel.tile
    return [
        f"const ptrdiff_t first = (ptrdiff_t)(i / 4u) * {stride} - (ptrdiff_t)a->before;",
        begin,
        *block("for (uint32_t r = 0; r < a->kernel_rows; ++r)", [
            "const uint8_t *x = (const uint8_t *)rows[r];",
            *block(f"for (ptrdiff_t k = 0; x != NULL && k < {columns * dilation}; k += {dilation})",
                block("if (first + k >= 0 && first + k < (ptrdiff_t)a->x_width)", [
                    "const uint8_t *line = x + 4u * (size_t)q * a->x_channel + i % 4u;",
                    "const int32_t v = line[4 * (first + k)];",
                    each,
                ])),
        ]),
    ]  # fmt: skip


def _max_pool(kernel: Kernel) -> list[str]:
    """Quad by quad. A row that is padding is as good as another of the window; pixels ``begin`` to ``end`` are those
    whose windows are inside of the line.
    """
    stride, columns, dilation, rows = kernel.tile
    lines = [f"p{r}" for r in range(rows)]
    taps = [(p, QUAD * dilation * k) for k in range(columns) for p in lines]
    inside = [
        f"uint32_t most = @quad({taps[0][0]});",
        *(f"most = @max4(@quad({p} + {at}), most);" for p, at in taps[1:]),
        *(f"{p} += {QUAD * stride};" for p in lines),
        "@store_quad(out + 4u * i, most);",
    ]
    edge = [
        f"const ptrdiff_t first = (ptrdiff_t)i * {stride} - (ptrdiff_t)a->before;",
        "uint32_t most = 0;",
        *block(f"for (uint32_t r = 0; there && r < {rows}u; ++r)",
            block(f"for (ptrdiff_t k = first; k < first + {columns * dilation}; k += {dilation})",
                block("if (k >= 0 && k < (ptrdiff_t)a->x_width)", [
                    "most = @max4(@quad((const uint8_t *)rows[r] + 4 * ((ptrdiff_t)at + k)), most);",
                ]))),
        "@store_quad(out + 4u * i, most);",
    ]  # fmt: skip
    return [
        "uint8_t *out = (uint8_t *)out_row;",
        "const void *row = NULL;",
        *block(f"for (uint32_t r = 0; r < {rows}u; ++r)", ["row = rows[r] != NULL ? rows[r] : row;"]),
        *block(f"for (uint32_t r = 0; r < {rows}u; ++r)", ["rows[r] = rows[r] != NULL ? rows[r] : row;"]),
        "const int there = row != NULL;",
        "(void)y;",
        *block("for (uint32_t q = 0; q < a->channels; ++q)", [
            "const uint32_t at = q * a->x_channel;",
            "uint32_t i = 0;",
            *block("while (i < a->width)", [
                *block("if (there && i == a->begin && i < a->end)", [
                    f"const ptrdiff_t first = 4 * ((ptrdiff_t)(at + i * {stride}u) - (ptrdiff_t)a->before);",
                    *(f"const uint8_t *{p} = (const uint8_t *)rows[{r}] + first;" for r, p in enumerate(lines)),
                    *block("for (; i < a->end; ++i)", inside),
                ]),
                *block("else", [*edge, "++i;"]),
            ]),
            "out += 4u * a->out_channel;",
        ]),
    ]  # fmt: skip


def _average(kernel: Kernel) -> list[str]:
    lines = [
        *_window(kernel, "int32_t sum = 0;", "sum += v - (int32_t)a->x_zero;"),
        "const int32_t zero = (int32_t)a->zero;",
        "const float mean = (float)sum * a->shares[y * a->width + i / 4u];",
        "out[i] = (uint8_t)@rounded(@clamped(mean, (float)-zero, (float)(255 - zero)), zero);",
    ]
    return [line for line in _each_byte([], lines) if line != "(void)y;"]


def _sum(_kernel: Kernel) -> list[str]:
    return [
        "int32_t *out = (int32_t *)out_row;",
        *block("for (uint32_t c = 0; c < a->channels; ++c)", [
            "const uint8_t *x = (const uint8_t *)rows[0] + 4u * (size_t)(c / 4u) * a->x_channel + c % 4u;",
            "int32_t sum = y == 0u ? 0 : out[c];",
            *block("for (uint32_t i = 0; i < a->width; ++i)", ["sum += (int32_t)x[4u * i] - (int32_t)a->x_zero;"]),
            "out[c] = sum;",
        ]),
    ]  # fmt: skip


def _mean(_kernel: Kernel) -> list[str]:
    return [
        "const int32_t *x = (const int32_t *)rows[0];",
        "const int32_t zero = (int32_t)a->zero;",
        "(void)y;",
        *block("for (uint32_t c = 0; c < a->channels; ++c)", [
            "const float mean = (float)x[c] * a->share;",
            "uint8_t *out = (uint8_t *)out_row + 4u * (size_t)(c / 4u) * a->out_channel + c % 4u;",
            "*out = (uint8_t)@rounded(@clamped(mean, (float)-zero, (float)(255 - zero)), zero);",
        ]),
    ]  # fmt: skip


_BODIES = {
    "u8x4_input_quads_rows": _quantize,
    "u8x4_quantize_none_rows": _quantize,
    "f32_dequantize_none_rows": _dequantize,
    "u8x4_table_none_rows": _table,
    "u8x4_add_none_rows": _add,
    "u8x4_maxpool_none_rows": _max_pool,
    "u8x4_avgpool_none_rows": _average,
    "i32_sum_none_rows": _sum,
    "u8_mean_none_flat": _mean,
}
