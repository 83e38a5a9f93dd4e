"""``python -m bench.mixed``: what the borders between float32 and integers cost."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, models_option, rounds_option, sparsities_option
from sparsenet.io.files import require_outputs

MODELS = ("mobilenetv1", "minixception-128-256", "resnet50")


@bench_command(
    "taskset -c 0 python -m bench.mixed",
    "python -m bench.mixed --models mobilenetv1 --kept depthwise --json out.json",
)
@models_option(MODELS)
@sparsities_option((0.0, 0.9))
@click.option("--kept", "word", default="", help="Only ways with this in their name.")
@rounds_option(41)
@json_option
def main(
    models: tuple[str, ...], sparsity: tuple[float, ...], word: str, rounds: int, json_file: Path | None
) -> None:
    """Networks of which only some layers are in 8 bits, against float32 with the same zeros.

    One thread each, taking turns; processor time of the thread. More than 1.05 times float32 is too much.
    """
    require_outputs([json_file])

    from bench.measure.output import bar, markdown_table, write_json
    from bench.measure.versions import versions
    from bench.mixed.race import race
    from bench.mixed.ways import WAYS
    from bench.subjects.networks import build_graph
    from bench.subjects.sparsity import sparsify

    ways = [way for way in WAYS if word in way]
    results = []
    with bar(len(models) * len(sparsity) * len(ways), "network") as progress:
        for model in models:
            for zeros in sparsity:
                graph = sparsify(build_graph(model), zeros)
                for way in ways:
                    results.append(race(model, zeros, graph, way, rounds))
                    progress.update()
    found = [result for result in results if result is not None]
    rows = [
        (r.network, f"{r.sparsity:.0%}", r.kept, f"{r.integers} of {r.nodes}", f"{r.float32_ms:.2f}",
         f"{r.mixed_ms:.2f}", "-" if r.ratio is None else f"{r.ratio:.2f}")
        for r in found
    ]  # fmt: skip
    header = ["network", "zeros", "layers in float32", "nodes int8", "float32, ms", "mixed, ms", "ratio"]
    click.echo(markdown_table(header, rows))
    write_json(json_file, {"versions": versions(), "networks": found})


if __name__ == "__main__":
    main()
