"""Depthwise convolution of maps in bytes, two rows of a window at a time: a column's two pixels are a pair, multiplied
by their weights in one instruction where there is one.

Channel by channel, so that weights are unpacked once for a line. A row that is padding is a line of zero points, the
same for all channels.
"""

from __future__ import annotations

from collections.abc import Iterator

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.conv_bytes import opened
from sparsenet.targets.c99.kernels.text import block, indented, named


def body(kernel: Kernel) -> list[str]:
    """Channels, in each the tiles of a line."""
    tile, stride, rows, columns = (kernel.parameter(n) for n in ("width", "stride", "rows", "columns"))
    sums = named("s", tile)
    return indented([
        *opened(kernel),
        "const uint32_t width = a->width;",
        "const int8_t *w = a->weights;",
        "uint32_t x0 = 0;",
        "ptrdiff_t at = 0;",
        *_lines(kernel),
        *to_bytes.begun(kernel),
        *block("for (uint32_t c = 0; c < a->c_out; ++c)", [
            *_weights(rows, columns),
            *(f"const uint8_t *p{r} = line[{r}] + (at & there[{r}]);" for r in range(rows)),
            *block("for (x0 = 0;;)", [
                to_bytes.bias(kernel, sums),
                *(part for first in range(0, rows, 2) for part in block("", _taps(kernel, first))),
                *to_bytes.finished(kernel, sums, "4u * x0"),
                *block(f"if (x0 + {tile}u >= width)", ["break;"]),
                *block("", [
                    f"const uint32_t step = x0 + {2 * tile}u > width ? width - {tile}u - x0 : {tile}u;",
                    *(f"p{r} += {QUAD * stride}u * step;" for r in range(rows)),
                    "x0 += step;",
                ]),
            ]),
            f"w += {rows * columns};",
            f"at += {to_bytes.after('a->x_channel')};",
            *to_bytes.next_channel(kernel),
        ]),
    ])  # fmt: skip


def _lines(kernel: Kernel) -> list[str]:
    """Where each row begins, and, as a mask, whether it is there: in a row that is padding all channels are at 0."""
    rows = kernel.parameter("rows")
    return [
        f"const uint8_t *line[{rows}];",
        f"ptrdiff_t there[{rows}];",
        *block(f"for (uint32_t r = 0; r < {rows}u; ++r)", [
            f"uint32_t *padding = (uint32_t *)rows[{rows + kernel.parameter('add')}];",
            "line[r] = rows[r] != NULL ? (const uint8_t *)rows[r] - 4u * a->before : (const uint8_t *)padding;",
            "there[r] = rows[r] != NULL ? -1 : 0;",
            *block("for (uint32_t i = 0; rows[r] == NULL && i < a->seen; ++i)", [
                "padding[i] = a->x_zero * 0x01010101u;",
            ]),
        ]),
    ]  # fmt: skip


def _weights(rows: int, columns: int) -> Iterator[str]:
    """As pairs, of two rows each; the last of an odd number of rows alone."""
    for row in range(0, rows, 2):
        for k in range(columns):
            low, high = (f"w[{r * columns + k}]" for r in (row, row + 1))
            if row + 1 < rows:
                yield f"const uint32_t w{row}_{k} = ((uint32_t){low} & 0xFFFFu) | (uint32_t){high} << 16;"
            else:
                yield f"const int32_t w{row}_{k} = {low};"


def _taps(kernel: Kernel, row: int) -> Iterator[str]:
    """The products of a pair of rows from ``row`` on, or of the last row alone."""
    tile, stride, rows, columns, dilation = (
        kernel.parameter(n) for n in ("width", "stride", "rows", "columns", "dilation")
    )
    for place in range((tile - 1) * stride + (columns - 1) * dilation + 1):
        uses = [(t, k) for t in range(tile) for k in range(columns) if t * stride + k * dilation == place]
        at = QUAD * place
        if not uses:
            continue
        if row + 1 < rows:
            value = f"const uint32_t v = p{row}[{at}] | (uint32_t)p{row + 1}[{at}] << 16;"
            yield from block("", [value, *(f"s{t} = @dot2(v, w{row}_{k}, s{t});" for t, k in uses)])
        else:
            value = f"const int32_t v = p{row}[{at}];"
            yield from block("", [value, *(f"s{t} += v * w{row}_{k};" for t, k in uses)])
