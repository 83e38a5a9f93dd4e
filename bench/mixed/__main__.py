"""``python -m bench.mixed``: what the borders between float32 and integers cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, models_option, rounds_option, sparsities_option
from sparsenet.io.files import require_outputs

if TYPE_CHECKING:
    from sparsenet import Graph

MODELS = ("mobilenetv1", "minixception-128-256", "resnet50")
FILE = "QDQ file"


@bench_command(
    "taskset -c 0 python -m bench.mixed",
    "python -m bench.mixed --models mobilenetv1 --part depthwise --json out.json",
)
@models_option(MODELS)
@sparsities_option((0.0, 0.9))
@click.option("--part", "word", default="", help="Only where this is in the name of what stays float32.")
@rounds_option(41)
@json_option
def main(
    models: tuple[str, ...], sparsity: tuple[float, ...], word: str, rounds: int, json_file: Path | None
) -> None:
    """Networks of which only some layers are in 8 bits, against float32 with the same zeros.

    Then small files that ONNX Runtime quantized, with a function between the layers. One thread each, taking turns;
    processor time of the thread. More than 1.05 times float32 is too much.
    """
    require_outputs([json_file])

    from bench.measure.output import bar, markdown_table, write_json
    from bench.measure.versions import versions
    from bench.mixed.race import race

    found = []
    with bar(None, "network") as progress:
        for network, zeros, part, graph, quantized in _pairs(models, sparsity, word):
            found.append(race(network, zeros, part, graph, quantized, rounds))
            progress.update()
    rows = [
        (r.network, f"{r.sparsity:.0%}", r.part, f"{r.integers} of {r.nodes}", f"{r.float32_ms:.2f}",
         f"{r.mixed_ms:.2f}", "-" if r.ratio is None else f"{r.ratio:.2f}")
        for r in found
    ]  # fmt: skip
    header = ["network", "zeros", "in float32", "nodes in int8", "float32, ms", "mixed, ms", "ratio"]
    click.echo(markdown_table(header, rows))
    write_json(json_file, {"versions": versions(), "networks": found})


def _pairs(
    models: tuple[str, ...], sparsity: tuple[float, ...], word: str
) -> Iterator[tuple[str, float, str, Graph, Graph]]:
    """(name, sparsity, what stays float32, float32 network, quantized network)."""
    from bench.mixed.files import BETWEEN, files
    from bench.mixed.ways import WAYS, in_part
    from bench.subjects.networks import build_graph
    from bench.subjects.sparsity import sparsify

    for model in models:
        for zeros in sparsity:
            graph = sparsify(build_graph(model), zeros)
            for way in WAYS:
                quantized = in_part(graph, way) if word in way else None
                if quantized is not None:
                    yield model, zeros, way, graph, quantized
    for between in BETWEEN:
        for zeros in sparsity if word in between else ():
            yield FILE, zeros, between, *files(between, zeros)


if __name__ == "__main__":
    main()
