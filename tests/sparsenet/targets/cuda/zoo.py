"""Whole networks as a GPU would run them, kernels and plans included, on a CPU: ``native`` against the CPU engine.

python -m tests.sparsenet.targets.cuda.zoo --models mobilenetv1 resnet50 --sparsity 0 0.9 --batch 1 8
python -m tests.sparsenet.targets.cuda.zoo --models ConvNeXt U-Net YOLO --sparsity 0.8  # as converters' tests have them

A minute or more for each: most of it compiles kernels. The plans are those for a GPU of 132 multiprocessors.
"""

from __future__ import annotations

import argparse
import time

import click
import numpy as np
import torch

import tests.sparsenet.targets.cuda.simulator  # noqa: F401  # before anything imports numba.cuda
from bench.subjects.networks import MODELS, build_graph
from bench.subjects.sparsity import sparsify
from converters import from_torch
from sparsenet import Engine, Graph
from sparsenet.targets.cuda.builder import Options
from sparsenet.targets.cuda.make import make_plan
from tests.converters.architectures import ARCHITECTURES, build
from tests.sparsenet.targets.cuda.native import run_plan

TOLERANCE = 1e-4


def error_of(graph: Graph, batch: int) -> float:
    """The largest error of an output, over its largest value."""
    rng = np.random.default_rng(0)
    feeds = {
        info.name: rng.standard_normal((batch, *(int(d or 0) for d in info.shape[1:]))).astype(np.float32)
        for info in graph.inputs
    }
    want = Engine(graph, threads=1).run(feeds)
    got = run_plan(make_plan(graph, Options(batch=batch)), list(feeds.values()))
    return max(
        float(np.abs(value - want[name]).max() / np.abs(want[name]).max())
        for name, value in zip(graph.outputs, got, strict=True)
    )


def graph_of(model: str, sparsity: float, size: int | None) -> Graph:
    """One of the zoo or of the converters' tests."""
    if model in MODELS:
        return sparsify(build_graph(model, size), sparsity)
    module, (channels, height, width) = build(model, sparsity)
    return from_torch(module, torch.zeros(1, channels, size or height, size or width))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sparsenet.targets.cuda.zoo", description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=[*MODELS, *ARCHITECTURES])
    parser.add_argument("--sparsity", nargs="+", type=float, default=[0, 0.5, 0.8, 0.9, 0.95])
    parser.add_argument("--batch", nargs="+", type=int, default=[1])
    parser.add_argument("--size", type=int, help="pixels a side (default: what the network is made for)")
    args = parser.parse_args()
    failed = False
    for model in args.models:
        for sparsity in args.sparsity:
            for batch in args.batch:
                start = time.perf_counter()
                error = error_of(graph_of(model, sparsity, args.size), batch)
                failed |= not error <= TOLERANCE
                took = time.perf_counter() - start
                click.echo(f"{model:24} {sparsity:4} batch {batch:2}: {error:.1e}  ({took:.0f} s)")
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
