"""``python -m bench.dense_shapes``: our dense kernels against ONNX Runtime's, layer by layer of real networks."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, only_option, rounds_option
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render


@bench_command(
    "taskset -c 0 python -m bench.dense_shapes --only 3x3", "python -m bench.dense_shapes --only @7"
)
@rounds_option(60)
@only_option("Shapes")
@json_option
def main(rounds: int, only: str, json_file: Path | None) -> None:
    """Milliseconds per layer (mean of the layer and its way back), ONNX Runtime against our dense kernel.

    One thread. A layer alone would also be charged for changing the layout of its input and output; what a layer costs
    inside a network is the difference between the chain A → B → A' → B' and its first half, where A is the layer and B
    leads back from its output to its input (all four with weights of their own). First convolutions cannot be chained:
    they are timed whole, from the image to global averages.
    """
    from bench.dense_shapes.race import SHAPES, race
    from bench.measure.output import bar, write_json
    from bench.measure.versions import versions

    shapes = [shape for shape in SHAPES if only in shape.name]
    if not shapes:
        raise InputError(f"no shape has '{only}' in its name; there are {', '.join(s.name for s in SHAPES)}")
    require_outputs([json_file])
    results = []
    with bar(len(shapes), "layer") as progress:
        for shape in shapes:
            progress.set_description(shape.name)
            results.append(race(shape, rounds))
            progress.update()
    header = ["layer", "ORT ms", "ours ms", "ORT GFLOP/s", "ours GFLOP/s", "speed-up", "tiles"]
    rows = [
        (r.layer, f"{r.ort_ms:.3f}", f"{r.ours_ms:.3f}", r.ort_gflops, r.ours_gflops, r.speedup, r.tiles)
        for r in results
    ]
    click.echo(render(header, rows))
    write_json(json_file, {"versions": versions(), "layers": results})


if __name__ == "__main__":
    main()
