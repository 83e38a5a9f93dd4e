"""Sparse convolution of maps in bytes, weight by weight: for every output channel a sum over its nonzeros.

The bias is that of sums of the bytes themselves; where a row of the window is padding, whose pixels are the zero point,
``absent`` has what it adds. Results are bytes, or, behind a fully connected layer, float32 numbers.
"""

from __future__ import annotations

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import bytes as to_bytes
from sparsenet.targets.c99.kernels.text import along_line, block, indented, named


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line, in each the output channels, in each the rows of the window, in each the nonzeros."""
    one_row, tile, stride = (kernel.parameter(name) for name in ("rows", "width", "stride"))
    sums = named("s", tile)
    nonzeros = [
        "const uint16_t *const end = place + *count++;",
        *block("while (place != end)", [
            "const int32_t v = *w++;",
            "const uint8_t *p = x + *place++;",
            *(f"{s} += v * (int32_t)p[{QUAD * t * stride}];" for t, s in enumerate(sums)),
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
                    [*(f"{s} += padding;" for s in sums), "w += *count;", "place += *count++;", "continue;"],
                ),
                *nonzeros,
            ],
        )
    numbers = [f"((float *)out_row)[c] = (float){sums[0]} * a->multiplier[c];"]
    channels = block(
        "for (uint32_t c = 0; c < a->c_out; ++c)",
        [
            to_bytes.bias(kernel, sums),
            *rows,
            *(numbers if kernel.parameter("numbers") else to_bytes.finished(kernel, sums)),
            *to_bytes.next_channel(kernel),
        ],
    )
    return indented([
        *([] if one_row else ["const uint32_t kernel_rows = a->kernel_rows;"]),
        *opened(kernel),
        *along_line(kernel, [
            "const int8_t *w = a->weights;",
            *to_bytes.begun(kernel),
            "const uint16_t *place = a->places;",
            "const uint16_t *count = a->counts;",
            *(["const uint8_t *x = (const uint8_t *)rows[0];"] if one_row else ["const int32_t *absent = a->absent;"]),
            *channels,
        ]),
    ])  # fmt: skip


def opened(kernel: Kernel) -> list[str]:
    """What comes first: sums for a mean begin with 0."""
    if not kernel.parameter("mean"):
        return ["(void)y;"]
    return block("if (y == 0u)", ["memset(out_row, 0, a->c_out * sizeof(int32_t));"])
