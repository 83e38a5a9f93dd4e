"""Sparse convolution: for every output channel a sum over its nonzeros, a tile of pixels in registers.

Weights of an output channel are in the order of the window's rows, ``counts`` tells how many there are of each, so
that those of a row that is padding are passed over. A nonzero's place is a number of elements from the row's first tap
on; with ``steps`` it is the number of channels from the nonzero before.
"""

from __future__ import annotations

from sparsenet.targets.c99 import epilogue
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import results
from sparsenet.targets.c99.kernels.text import PARAMETERS, along_line, block, indented, named

__all__ = ["PARAMETERS", "body"]


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line, in each the output channels, in each the rows of the window, in each the nonzeros."""
    tile, stride = kernel.parameter("width"), kernel.parameter("stride")
    in_bytes, steps = "i8_rows" in kernel.family_name, "steps" in kernel.family_name
    weight, place = ("int8_t" if in_bytes else "float"), ("uint8_t" if steps else "uint16_t")
    sums = named("s", tile)
    pixels = "x" if steps else "p"
    nonzeros = block(
        "for (; n != 0u; --n)",
        [
            f"const float v = {'(float)' if in_bytes else ''}*w++;",
            "x += (size_t)*place++ * x_channel;" if steps else "const float *p = x + *place++;",
            *(f"{s} = $FMA(v, {pixels}[{t * stride}], {s});" for t, s in enumerate(sums)),
        ],
    )
    rows = block(
        "for (uint32_t r = 0; r < kernel_rows; ++r)",
        [
            "uint32_t n = *count++;",
            "const float *x = (const float *)rows[r];",
            *block("if (x == NULL)", ["w += n;", "place += n;", "continue;"]),
            f"x += {'x0' if stride == 1 else f'x0 * {stride}u'};",
            "x -= a->before;",
            *nonzeros,
        ],
    )
    channels = block(
        "for (uint32_t c = 0; c < c_out; ++c)",
        [
            f"float s0 = a->bias[c]{''.join(f', {s} = s0' for s in sums[1:])};",
            *rows,
            *results.scaled(in_bytes, sums, "c"),
            *epilogue.finish(kernel, sums, "c"),
            *results.stored(kernel, sums),
            *epilogue.advance_residuals(kernel),
        ],
    )
    return indented([
        "const uint32_t c_out = a->c_out, kernel_rows = a->kernel_rows;",
        *(["const size_t x_channel = a->x_channel;"] if steps else []),
        *results.around(kernel, along_line(tile, [
            f"const {weight} *w = a->weights;",
            f"const {place} *place = a->places;",
            "const uint16_t *count = a->counts;",
            *results.opened(kernel),
            *epilogue.open_residuals(kernel, "kernel_rows", "x0"),
            *channels,
        ])),
    ])  # fmt: skip
