"""Sparse convolution: for every output channel a sum over its nonzeros, a tile of pixels in registers.

Weights of an output channel are in the order of the window's rows, ``counts`` tells how many there are of each, so
that those of a row that is padding are passed over. A nonzero's place is a number of elements from the row's first tap
on; with ``steps`` it is the number of channels from the nonzero before. Kernels for windows of one row, which is never
padding, need not ask for it.
"""

from __future__ import annotations

from sparsenet.targets.c99 import epilogue
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import results
from sparsenet.targets.c99.kernels.text import along_line, block, indented, named


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line, in each the output channels, in each the rows of the window, in each the nonzeros."""
    tile, stride = kernel.parameter("width"), kernel.parameter("stride")
    in_bytes, steps = "i8_rows" in kernel.family_name, "steps" in kernel.family_name
    weight, place = ("int8_t" if in_bytes else "float"), ("uint8_t" if steps else "uint16_t")
    sums = named("s", tile)
    pixels = "x" if steps else "p"
    one_row = kernel.parameter("rows") == 1
    nonzeros = [
        *(["const float *x = row;"] if one_row and steps else []),
        f"const {place} *const end = place + *count++;",
        "if (place != end) {",
        "    do {",
        *indented(
            [
                f"const float v = {'(float)' if in_bytes else ''}*w++;",
                "x += (size_t)*place++ * x_channel;" if steps else "const float *p = x + *place++;",
                *(f"{s} = $FMA(v, {pixels}[{t * stride}], {s});" for t, s in enumerate(sums)),
            ],
            2,
        ),
        "    } while (place != end);",
        "}",
    ]
    rows = nonzeros
    if not one_row:
        rows = block(
            "for (uint32_t r = 0; r < kernel_rows; ++r)",
            [
                "const float *x = (const float *)rows[r];",
                *block("if (x == NULL)", ["w += *count;", "place += *count++;", "continue;"]),
                *nonzeros,
            ],
        )
    channels = block(
        "for (uint32_t c = 0; c < c_out; ++c)",
        [
            f"float s0 = bias[c]{''.join(f', {s} = s0' for s in sums[1:])};",
            *rows,
            *results.scaled(in_bytes, sums, "c"),
            *epilogue.finish(kernel, sums, "c"),
            *results.stored(kernel, sums),
            *epilogue.advance_residuals(kernel),
        ],
    )
    first = f"const float *{'row' if steps else 'x'} = (const float *)rows[0];"
    return indented([
        f"const uint32_t c_out = a->c_out{'' if one_row else ', kernel_rows = a->kernel_rows'};",
        "const float *const bias = a->bias;",
        *(["const size_t x_channel = a->x_channel;"] if steps else []),
        *epilogue.opened(kernel),
        *results.around(kernel, along_line(kernel, [
            f"const {weight} *w = a->weights;",
            f"const {place} *place = a->places;",
            "const uint16_t *count = a->counts;",
            *([first] if one_row else []),
            *results.opened(kernel),
            *epilogue.open_residuals(kernel, "a->kernel_rows", "x0"),
            *channels,
        ])),
    ])  # fmt: skip
