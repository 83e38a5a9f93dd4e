"""Dense convolution: a block of output channels times a tile of pixels in registers.

Weights are ``[block of outputs][row of the window][c_in][column][outputs]``. The last block ends with the last output
channel and may overlap the one before; its weights are stored once more.
"""

from __future__ import annotations

from sparsenet.targets.c99 import epilogue
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import results
from sparsenet.targets.c99.kernels.text import along_line, block, indented, named


def body(kernel: Kernel) -> list[str]:
    """Tiles of a line, in each the blocks of output channels, in each the taps."""
    outputs, tile, stride, columns = kernel.tile
    in_bytes = "i8" in kernel.family_name
    weight = "int8_t" if in_bytes else "float"
    sums = [named(f"s{o}_", tile) for o in range(outputs)]
    tap = [
        *(f"const float w{o} = {'(float)' if in_bytes else ''}w[{o}];" for o in range(outputs)),
        *(f"const float v{t} = p[{t * stride}];" for t in range(tile)),
        *(f"{sums[o][t]} = $FMA(w{o}, v{t}, {sums[o][t]});" for t in range(tile) for o in range(outputs)),
        f"w += {outputs};",
    ]
    if columns > 1:
        tap = [
            "const float *p = x;",
            *block(f"for (uint32_t k = 0; k < {columns}u; ++k)", [*tap, "p += dilation;"]),
        ]
    else:
        tap = ["const float *p = x;", *tap]
    rows = block(
        "for (uint32_t r = 0; r < kernel_rows; ++r)",
        [
            "const float *x = (const float *)rows[r];",
            *block("if (x == NULL)", [f"w += (size_t)c_in * {columns * outputs}u;", "continue;"]),
            *block("for (uint32_t i = 0; i < c_in; ++i)", [*tap, "x += x_channel;"]),
        ],
    )
    finish = []
    for o, row in enumerate(sums):
        channel, residual = f"c + {o}u", f"{o}u * a->residual_channel_{{step}}" if o else ""
        lines = [*results.scaled(in_bytes, row, channel), *epilogue.finish(kernel, row, channel, residual)]
        finish += block("", [*lines, *results.stored(kernel, row)])
    channels = block(
        f"for (uint32_t c = 0;; c = c + {2 * outputs}u > c_out ? c_out - {outputs}u : c + {outputs}u)",
        [
            *results.at_channel(kernel, "c"),
            *epilogue.open_residuals(kernel, "kernel_rows", "x0"),
            *(f"r{step} += (size_t)c * a->residual_channel_{step};" for step in epilogue.residuals(kernel)),
            *(
                f"float {row[0]} = a->bias[c + {o}u]{''.join(f', {s} = {row[0]}' for s in row[1:])};"
                for o, row in enumerate(sums)
            ),
            *rows,
            *finish,
            *block(f"if (c + {outputs}u >= c_out)", ["break;"]),
        ],
    )
    return indented([
        *epilogue.opened(kernel),
        "const uint32_t c_out = a->c_out, kernel_rows = a->kernel_rows, c_in = a->c_in;",
        "const size_t x_channel = a->x_channel, dilation = a->dilation;",
        "(void)dilation;",
        *results.around(kernel, along_line(kernel, [f"const {weight} *w = a->weights;", *channels])),
    ])  # fmt: skip
