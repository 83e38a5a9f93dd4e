"""Where sparse kernels start to pay: every real layer shape, sparse against dense, interleaved.

Run ``python -m bench.break_even``; ``sparsenet/targets/cpu/lower/select.py`` holds the limits chosen from its output.
"""

from __future__ import annotations

from functools import partial

import click
import numpy as np

from bench.engines.forced import forced_engine
from bench.measure.command import BenchCommand
from bench.subjects.layers import CONVOLUTIONS, LayerShape
from sparsenet.commands.options import THREADS, FiniteRange
from sparsenet.text.table import render
from sparsenet.timing import clock_for, interleaved


def speedup(shape: LayerShape, sparsity: float, threads: int, rounds: int) -> float | None:
    """Median of paired ratios dense ÷ sparse of one layer, sparse kernels forced; None if too noisy to tell."""
    graph = shape.graph(sparsity)
    engines = {kernels: forced_engine(graph, kernels, threads) for kernels in ("dense", "sparse")}
    x = shape.example()
    results = [engine(x) for engine in engines.values()]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-3, atol=1e-3)
    calls = {name: partial(engine, x) for name, engine in engines.items()}
    return interleaved(calls, rounds, clock_for(threads)).ratio("dense", "sparse").told


@click.command(cls=BenchCommand)
@click.option(
    "--sparsity",
    type=FiniteRange(0, 1, max_open=True),
    multiple=True,
    default=(0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9, 0.95),
    show_default=True,
)
@click.option("--threads", type=THREADS, default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(3), default=40, show_default=True)
def main(sparsity: tuple[float, ...], threads: int, rounds: int) -> None:
    """Speed-up of the sparse kernel over the dense one, per layer shape and sparsity; a dash: too noisy to tell."""
    rows = []
    for shape in CONVOLUTIONS:
        found = [speedup(shape, s, threads, rounds) for s in sparsity]
        rows.append((shape.name, *found))
        click.echo(
            f"{shape.name}: {', '.join('too noisy' if v is None else f'{v:.2f}' for v in found)}", err=True
        )
    click.echo(render(["layer", *(f"{100 * s:.0f} %" for s in sparsity)], rows))


if __name__ == "__main__":
    main()
