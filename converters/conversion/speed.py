"""Measured milliseconds of a graph, dense against sparse, in float32 and in int8, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from converters.passes.permute_channels import permute_channels
from converters.quantization.quantize import quantize
from converters.verify import TOLERANCE, relative_error
from sparsenet.engine import Engine
from sparsenet.errors import SparsenetError
from sparsenet.graph import Graph
from sparsenet.graph.counts import count_layers, total
from sparsenet.graph.integer import integer_nodes
from sparsenet.timing import Ratio, Rounds, clock_for, rounds_for, spread, take_rounds, turns_of

FEWEST_ROUNDS, MOST_ROUNDS = 9, 101
#: The smallest speed-up that counts as one.
GAIN = 1.02


@dataclass(frozen=True)
class SpeedReport:
    """Dense and sparse kernels of the same engine on the same weights and input, and of the other kind of numbers.

    Attributes:
        dense_ms, sparse_ms: median milliseconds for one input.
        speedup: median of dense / sparse of the same round; ``speedup_interval`` is its 95 % interval. Both are None
            where the machine was too noisy to tell.
        clock: what was counted: "cpu", processor time, with one thread; "wall" with several.
        rounds, dropped: how many rounds count, and how many do not because something disturbed them.
        threads: of both runs.
        first_ms: the sparse engine's first inference, after compilation.
        compile_ms: compiling or loading its kernels.
        memory_bytes: packed weights and working memory of the sparse engine.
        difference: largest relative difference between the two runs' outputs.
        ways: median milliseconds of everything that took part: "float32 dense", "float32 sparse", "int8 dense" and
            "int8 sparse", of the kinds of numbers that were measured.
        fastest: the one of four that is the fastest here; None if there are two, or the machine was too noisy to tell.
        verdict: a sentence or two.
    """

    dense_ms: float
    sparse_ms: float
    speedup: float | None
    speedup_interval: tuple[float, float] | None
    clock: str
    rounds: int
    dropped: int
    threads: int
    first_ms: float
    compile_ms: float
    memory_bytes: int
    difference: float
    ways: dict[str, float]
    fastest: str | None
    verdict: str


def in_other_numbers(graph: Graph, seed: int = 0) -> Graph | None:
    """The same network in float32 if it is quantized; else in int8, with the ranges that random inputs have.

    The second is for timing alone: what a network is worth in int8, real samples tell. None if nothing of it can be
    computed in integers.
    """
    if graph.quantization:
        other = graph.copy()
        other.quantization = {}
        return other
    quantized = quantize(graph, [random_inputs(graph, seed)])
    return permute_channels(quantized) if integer_nodes(quantized, quantized.shapes()) else None


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """One seeded input of standard-normal numbers."""
    rng = np.random.default_rng(seed)
    return {
        info.name: rng.standard_normal([1, *(int(d or 0) for d in info.shape[1:])], np.float32)
        for info in graph.inputs
    }


def measure(
    graph: Graph,
    threads: int | None = None,
    seconds: float = 3.0,
    seed: int = 0,
    other: Graph | None = None,
) -> SpeedReport:
    """Run the graph with dense kernels only and with sparse ones, in turn, on one seeded random input.

    Args:
        graph: the network.
        other: the same network in other numbers, which takes part with dense and sparse kernels too.
        threads: of both engines; None takes the CPUs this process may use.
        seconds: about how long to measure; up to three times as long where other work disturbs it.
        seed: of the input.

    Raises:
        SparsenetError: the two runs do not agree, so their times would mean nothing.
    """
    feeds = random_inputs(graph, seed)
    engines = {"dense": Engine(graph, threads, sparse=False), "sparse": Engine(graph, threads)}
    first_ms = engines["sparse"].warmup() * 1e3
    outputs = {name: engine.run(feeds) for name, engine in engines.items()}
    difference = max(relative_error(outputs["sparse"][n], outputs["dense"][n]) for n in graph.outputs)
    if not difference <= TOLERANCE:
        raise SparsenetError(
            f"'{graph.name}': dense and sparse kernels differ by {difference:.2g} relative, so their times mean nothing"
        )
    sparse = engines["sparse"]
    if other is not None:
        engines |= {
            "other dense": Engine(other, threads, sparse=False),
            "other sparse": Engine(other, threads),
        }
        for name in ("other dense", "other sparse"):
            engines[name].run(feeds)
    clock = clock_for(sparse.threads)
    turns = turns_of({name: _call(engine, feeds) for name, engine in engines.items()}, clock)
    taken = take_rounds(turns, rounds_for(turns, seconds, FEWEST_ROUNDS, MOST_ROUNDS), clock)
    ratio = taken.ratio("dense", "sparse")
    medians = {
        name: 1e3 * spread(times).median for name, times in zip(turns, taken.seconds(*turns), strict=True)
    }
    names = _names(graph)
    ways = {names[name]: ms for name, ms in medians.items()}
    fastest, verdict = _fastest(taken, medians, names) if other is not None else (None, "")
    return SpeedReport(
        dense_ms=medians["dense"],
        sparse_ms=medians["sparse"],
        speedup=ratio.told,
        speedup_interval=ratio.interval,
        clock=clock.counts,
        rounds=ratio.rounds,
        dropped=ratio.dropped,
        threads=sparse.threads,
        first_ms=first_ms,
        compile_ms=sparse.timings.compile * 1e3,
        memory_bytes=int(sparse.plan.weights.nbytes + sparse.plan.working_bytes),
        difference=difference,
        ways=ways,
        fastest=fastest,
        verdict="; ".join(filter(None, [_verdict(graph, sparse, ratio), verdict])),
    )


def _names(graph: Graph) -> dict[str, str]:
    """What takes part → numbers and kernels."""
    own, other = ("int8", "float32") if graph.quantization else ("float32", "int8")
    return {
        f"{prefix}{kernels}": f"{numbers} {kernels}"
        for prefix, numbers in (("", own), ("other ", other))
        for kernels in ("dense", "sparse")
    }


def _fastest(taken: Rounds, medians: Mapping[str, float], names: Mapping[str, str]) -> tuple[str | None, str]:
    """The fastest of four, if that can be told, and a sentence on it."""
    best, second = sorted(medians, key=medians.__getitem__)[:2]
    ratio = taken.ratio(second, best)
    if ratio.noisy:
        return None, f"which of the four is fastest, the machine was {ratio.why_noisy}"
    if ratio.low <= 1.0 or ratio.median < GAIN:
        return None, f"of the four, {names[best]} and {names[second]} are the fastest, and equal here"
    sentence = (
        f"of the four, {names[best]} is the fastest, {ratio.median:.2f} times as fast as {names[second]}"
    )
    return names[best], sentence


def _call(engine: Engine, feeds: dict[str, np.ndarray]) -> Callable[[], object]:
    return lambda: engine.run(feeds)


def _verdict(graph: Graph, engine: Engine, ratio: Ratio) -> str:
    counts = count_layers(graph)
    sums = total(counts)
    sparse_layers = sum(d.sparse for d in engine.explain())
    if ratio.noisy and sparse_layers:
        return (
            f"the machine was {ratio.why_noisy} whether sparse kernels are faster; measure again while it does "
            "nothing else"
        )
    if ratio.low > 1.0 and ratio.median >= GAIN:
        return f"sparse kernels are {ratio.median:.2f} times as fast as dense ones here"
    if sums.sparsity < 0.5:
        reason = f"{sums.sparsity:.0%} of the weights are zero, which is too few; prune further"
    elif sparse_layers == 0:
        reason = "no layer is sparse enough for a sparse kernel to win (see `sparsenet explain`)"
    else:
        reason = (
            f"{sparse_layers} of {len(counts)} layers use sparse kernels, but the time is spent elsewhere "
            "(see `sparsenet profile`)"
        )
    return f"sparse kernels are no faster than dense ones here: {reason}"
