"""``python -m bench.quads``: what kernels for convolutions in 8 bits reach, dense-equivalent."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, rounds_option
from sparsenet.io.files import require_outputs
from sparsenet.targets.host import host
from sparsenet.text.table import render

#: (C_in, C_out, kernel, size) of layers of MobileNetV1, MiniXception, MaskCNN and ResNet-50.
SHAPES = [
    *((64, 64, 1, 56), (128, 128, 1, 28), (256, 256, 1, 28), (512, 512, 1, 14), (1024, 1024, 1, 7)),
    *((64, 256, 1, 56), (1024, 256, 1, 14), (64, 64, 3, 56), (128, 128, 3, 28), (256, 256, 3, 14), (512, 512, 3, 7)),
]  # fmt: skip
#: Zeros, and whether they are whole quads.
ZEROS = [(0.0, False), *((zeros, blocks) for blocks in (False, True) for zeros in (0.7, 0.8, 0.9, 0.95))]


@bench_command(
    "taskset -c 0 python -m bench.quads", "python -m bench.quads --quick --lanes 8 --dot 1 --json out.json"
)
@click.option(
    "--lanes", type=click.Choice(["16", "8", "4"]), help="Quads per vector.  [default: the longest here]"
)
@click.option("--dot", type=int, help="Instruction for products (see Target.dot).  [default: the best here]")
@click.option("--add", is_flag=True, help="With a fused residual addition.")
@click.option("--quick", is_flag=True, help="Two layers at three densities.")
@rounds_option(15)
@json_option
def main(
    lanes: str | None, dot: int | None, add: bool, quick: bool, rounds: int, json_file: Path | None
) -> None:
    """Convolutions in 8 bits alone: 1e9 dense-equivalent operations per second of processor time, one thread.

    Each family has its best tile, whose vectors of pixels stand behind the rate. Zeros are single weights, or whole
    quads of input channels (1×4).
    """
    require_outputs([json_file])

    from bench.measure.output import bar, write_json
    from bench.measure.versions import versions
    from bench.quads.race import TILES, Layer, rates

    count = int(lanes or host().vector().lanes)
    shapes, zeros = (SHAPES[1::7], ZEROS[::3]) if quick else (SHAPES, ZEROS)
    layers = [Layer(*shape, *of) for shape in shapes for of in zeros]
    found = []
    with bar(len(layers), "layer") as progress:
        for layer in layers:
            found.append((layer, rates(layer, count, host().dot if dot is None else dot, add, rounds)))
            progress.update()
    rows = [
        (
            layer.name,
            f"{layer.zeros:.0%}",
            "1×4" if layer.blocks else "",
            *(_cell(best.get(f)) for f in TILES),
        )
        for layer, best in found
    ]
    click.echo(render(["layer", "zeros", "", *TILES], rows))
    write_json(
        json_file,
        {
            "versions": versions(),
            "rates": [
                {"layer": layer.name, "zeros": layer.zeros, "blocks": layer.blocks, "family": family,
                 "gops": rate, "vectors": vectors}
                for layer, best in found for family, (rate, vectors) in best.items()
            ],
        },
    )  # fmt: skip


def _cell(rate: tuple[float, int] | None) -> str:
    return "-" if rate is None else f"{rate[0]:.0f} ({rate[1]})"


if __name__ == "__main__":
    main()
