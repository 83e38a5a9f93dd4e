"""Where sparse kernels start to pay: every real layer shape, sparse against dense, interleaved.

Run ``python -m bench.break_even``; ``sparsenet/plan/select.py`` holds the limits chosen from its output.
"""

from __future__ import annotations

from functools import partial

import click
import numpy as np

from bench.forced import forced_engine
from bench.shapes import CONVOLUTIONS, LayerShape
from sparsenet.commands.table import render
from sparsenet.timing import interleaved, paired_ratio


def speedup(shape: LayerShape, sparsity: float, threads: int, rounds: int) -> float:
    """Median of paired ratios dense ÷ sparse of one layer, sparse kernels forced."""
    graph = shape.graph(sparsity)
    engines = {kernels: forced_engine(graph, kernels, threads) for kernels in ("dense", "sparse")}
    x = shape.example()
    results = [engine(x) for engine in engines.values()]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-3, atol=1e-3)
    calls = {name: partial(engine, x) for name, engine in engines.items()}
    samples = interleaved(calls, rounds=rounds, warmup=5)
    return float(paired_ratio(samples["dense"], samples["sparse"]).median)


@click.command()
@click.option(
    "--sparsity",
    type=float,
    multiple=True,
    default=(0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9, 0.95),
    show_default=True,
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(3), default=40, show_default=True)
def main(sparsity: tuple[float, ...], threads: int, rounds: int) -> None:
    """Speed-up of the sparse kernel over the dense one, per layer shape and sparsity."""
    rows = []
    for shape in CONVOLUTIONS:
        rows.append((shape.name, *(speedup(shape, s, threads, rounds) for s in sparsity)))
        click.echo(f"{shape.name}: {', '.join(f'{v:.2f}' for v in rows[-1][1:])}", err=True)
    click.echo(render(["layer", *(f"{100 * s:.0f} %" for s in sparsity)], rows))


if __name__ == "__main__":
    main()
