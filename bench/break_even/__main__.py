"""``python -m bench.break_even``: every real layer shape, sparse against dense, interleaved.

``sparsenet/targets/cpu/lower/select.py`` holds the limits chosen from its output.
"""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, only_option, rounds_option, sparsities_option, threads_option
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render


@bench_command(
    "taskset -c 0 python -m bench.break_even", "python -m bench.break_even --sparsity 0.8 0.9 --only 3x3"
)
@sparsities_option((0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9, 0.95))
@threads_option()
@rounds_option(40)
@only_option("Layers")
@json_option
def main(sparsity: tuple[float, ...], threads: int, rounds: int, only: str, json_file: Path | None) -> None:
    """Speed-up of the sparse kernel over the dense one, per layer shape and sparsity; a dash: too noisy to tell."""
    from bench.break_even.speedup import speedup
    from bench.measure.contest import require_cpus
    from bench.measure.output import bar, write_json
    from bench.measure.versions import versions
    from bench.subjects.layers import CONVOLUTIONS

    layers = [layer for layer in CONVOLUTIONS if only in layer.name]
    if not layers:
        raise InputError(
            f"no layer has '{only}' in its name; there are {', '.join(s.name for s in CONVOLUTIONS)}"
        )
    require_cpus(threads)
    require_outputs([json_file])
    found = []
    with bar(len(layers) * len(sparsity), "layer") as progress:
        for layer in layers:
            progress.set_description(layer.name)
            for s in sparsity:
                ratio = speedup(layer, s, threads, rounds)
                found.append({"layer": layer.name, "sparsity": s, "speedup": ratio})
                progress.update()
    by_layer = [
        (layer.name, *(one["speedup"] for one in found if one["layer"] == layer.name)) for layer in layers
    ]
    click.echo(render(["layer", *(f"{100 * s:.0f} %" for s in sparsity)], by_layer))
    write_json(json_file, {"versions": versions(), "threads": threads, "speedups": found})


if __name__ == "__main__":
    main()
