"""Measured milliseconds of a graph, dense against sparse, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converters.verify import TOLERANCE, relative_error
from sparsenet.counts import count_layers, total
from sparsenet.engine import Engine
from sparsenet.errors import SparsenetError
from sparsenet.graph import Graph
from sparsenet.timing import interleaved, paired_ratio, spread

FEWEST_ROUNDS, MOST_ROUNDS = 9, 101
#: Quartiles of the ratio further apart than this tell of other work on the machine, not of the kernels.
NOISY = 1.25


@dataclass(frozen=True)
class SpeedReport:
    """Dense and sparse kernels of the same engine on the same weights and input.

    Attributes:
        dense_ms, sparse_ms: median milliseconds for one input.
        speedup: median of dense / sparse of the same round; ``speedup_iqr`` its 25th and 75th percentile.
        rounds, threads: how it was measured.
        first_ms: the sparse engine's first inference, after compilation.
        compile_ms: compiling or loading its kernels.
        memory_bytes: packed weights and working memory of the sparse engine.
        difference: largest relative difference between the two runs' outputs.
        verdict: one sentence.
    """

    dense_ms: float
    sparse_ms: float
    speedup: float
    speedup_iqr: tuple[float, float]
    rounds: int
    threads: int
    first_ms: float
    compile_ms: float
    memory_bytes: int
    difference: float
    verdict: str


def measure(graph: Graph, threads: int | None = None, seconds: float = 3.0, seed: int = 0) -> SpeedReport:
    """Run the graph with dense kernels only and with sparse ones, in turn, on one seeded random input.

    Args:
        graph: the network.
        threads: of both engines; None takes the CPUs this process may use.
        seconds: about how long to measure.
        seed: of the input.

    Raises:
        SparsenetError: the two runs do not agree, so their times would mean nothing.
    """
    rng = np.random.default_rng(seed)
    feeds = {
        info.name: rng.standard_normal([1, *(int(d or 0) for d in info.shape[1:])], np.float32)
        for info in graph.inputs
    }
    engines = {"dense": Engine(graph, threads, sparse=False), "sparse": Engine(graph, threads)}
    first_ms = engines["sparse"].warmup() * 1e3
    outputs = {name: engine.run(feeds) for name, engine in engines.items()}
    difference = max(relative_error(outputs["sparse"][n], outputs["dense"][n]) for n in graph.outputs)
    if not difference <= TOLERANCE:
        raise SparsenetError(
            f"'{graph.name}': dense and sparse kernels differ by {difference:.2g} relative, so their times mean nothing"
        )
    calls = {name: _call(engine, feeds) for name, engine in engines.items()}
    trial = interleaved(calls, rounds=3, warmup=1)
    round_seconds = sum(float(np.median(samples)) for samples in trial.values())
    rounds = int(np.clip(seconds / round_seconds, FEWEST_ROUNDS, MOST_ROUNDS))
    samples = interleaved(calls, rounds=rounds, warmup=1)
    ratio = paired_ratio(samples["dense"], samples["sparse"])
    sparse = engines["sparse"]
    return SpeedReport(
        dense_ms=spread(samples["dense"]).median * 1e3,
        sparse_ms=spread(samples["sparse"]).median * 1e3,
        speedup=ratio.median,
        speedup_iqr=ratio.iqr,
        rounds=rounds,
        threads=sparse.threads,
        first_ms=first_ms,
        compile_ms=sparse.timings.compile * 1e3,
        memory_bytes=int(sparse.plan.weights.nbytes + sparse.plan.arena_bytes),
        difference=difference,
        verdict=_verdict(graph, sparse, ratio.median, ratio.iqr),
    )


def _call(engine: Engine, feeds: dict[str, np.ndarray]) -> Callable[[], object]:
    return lambda: engine.run(feeds)


def _verdict(graph: Graph, engine: Engine, speedup: float, iqr: tuple[float, float]) -> str:
    if iqr[0] > 1.0 and speedup >= 1.02:
        return f"sparse kernels make it {speedup:.2f} times as fast as dense ones here"
    counts = count_layers(graph)
    sums = total(counts)
    sparse_layers = sum(d.format != "dense" for d in engine.explain() if d.weights)
    if sparse_layers and iqr[0] <= 1.0 <= iqr[1] and iqr[1] > NOISY * iqr[0]:
        return "too noisy to tell whether sparse kernels make it faster: repeat it while the machine does nothing else"
    if sums.sparsity < 0.5:
        reason = f"only {sums.sparsity:.0%} of the weights are zero; prune further"
    elif sparse_layers == 0:
        reason = "no layer is sparse enough for a sparse kernel to win (see `sparsenet explain`)"
    else:
        reason = (
            f"{sparse_layers} of {len(counts)} layers use sparse kernels, but the time is spent elsewhere "
            "(see `sparsenet profile`)"
        )
    return f"the sparse run is no faster than the dense one here: {reason}"
