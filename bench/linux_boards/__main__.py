"""``python -m bench.linux_boards``: instructions of a network on 64-bit Arm, dense and sparse, float32 and 8 bits."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from bench.linux_boards.count import instructions, require_tools
from bench.measure.command import bench_command
from sparsenet import Graph
from sparsenet.graph.feeds import random_inputs
from sparsenet.text.table import render

NETWORK, SIZE = "minixception-128-256", 96
#: Of float32, and of bytes by each of the instructions that multiply them.
FLOAT_CPU, BYTE_CPUS = "cortex-a72", ("cortex-a76", "neoverse-v1", "cortex-a53")


@bench_command("python -m bench.linux_boards", "python -m bench.linux_boards --size 128 --sparsity 0.9")
@click.option("--size", type=click.IntRange(32), default=SIZE, show_default=True, help="Side of the image.")
@click.option("--sparsity", type=click.FloatRange(0, 1, max_open=True), default=0.8, show_default=True,
    help="Share of zeros.")  # fmt: skip
def main(size: int, sparsity: float) -> None:
    """Count the instructions of MiniXception-128-256 as a C library for 64-bit Arm, under emulation."""
    require_tools()

    from bench.subjects.networks import build_graph
    from bench.subjects.sparsity import sparsify
    from converters import quantize

    graph = build_graph(NETWORK, size)
    samples = [random_inputs(graph.inputs, 1, seed) for seed in range(8)]
    in_bytes = quantize(sparsify(graph, sparsity, "1x4"), samples)
    contest = [("float32", FLOAT_CPU, sparsify(graph, sparsity))]
    contest += [("8 bits, 1x4 blocks", cpu, in_bytes) for cpu in BYTE_CPUS]
    table = [
        [kind, cpu, *(_millions(net, cpu, sparse) for sparse in (False, True))] for kind, cpu, net in contest
    ]
    click.echo(render(["millions of instructions", "cpu", "dense", f"{sparsity:.0%} zeros"], table))


def _millions(graph: Graph, cpu: str, sparse: bool) -> float:
    with tempfile.TemporaryDirectory(prefix="sparsenet-") as folder:
        return instructions(graph, cpu, Path(folder), sparse=sparse) / 1e6


if __name__ == "__main__":
    main()
