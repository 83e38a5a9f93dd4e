"""PyTorch and the engine, dense and sparse, in float32 and in integers: timed in turn on one input, checked first."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sparsenet.engine import Engine
from sparsenet.errors import SparsenetError
from sparsenet.graph import FloatArray, Graph
from sparsenet.timing import PROCESS, WALL, Rounds, rounds_for, spread, take_rounds, turns_of
from training.report.model import Latency, Speedup

#: Engine and PyTorch must agree to this share of the largest logit before their times mean anything.
TOLERANCE = 1e-4
FEWEST_ROUNDS, MOST_ROUNDS = 15, 101
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PAIRS = (
    *(("dense", "sparse"), ("pytorch", "sparse"), ("pytorch", "dense")),
    *(("sparse", "int8-sparse"), ("int8-dense", "int8-sparse"), ("pytorch", "int8-sparse")),
)


@dataclass(frozen=True)
class Timing:
    """What one network's measurement found; ``max_difference`` from PyTorch, of its largest logit."""

    latencies: list[Latency]
    speedups: list[Speedup]
    max_difference: float


def time_network(
    stage: str,
    model: nn.Module,
    graph: Graph,
    image: FloatArray,
    *,
    engines: Sequence[str] = ("dense", "sparse"),
    quantized: Graph | None = None,
    layouts: Sequence[str] = tuple(LAYOUTS),
    threads: int = 1,
    seconds: float = 4.0,
) -> Timing:
    """Time ``model`` in PyTorch and ``graph`` in the engine, every call once per round.

    Args:
        stage: name the results carry.
        image: network input (1, 3, H, W).
        engines: "dense" (sparse kernels switched off) and "sparse".
        quantized: the network in integers, timed by the same engines as "int8-dense" and "int8-sparse", if given.
        layouts: PyTorch's memory layouts to try; the faster one counts.
        threads: of each.
        seconds: about how long to measure; 15 to 101 rounds, or up to three times as many where some are disturbed.

    Raises:
        SparsenetError: engine and PyTorch disagree, or dense and sparse kernels in integers, whose outputs
            must be equal to the bit.
    """
    with _torch_threads(threads):
        calls = {layout: _torch_call(model, image, layout) for layout in layouts}
        expected = calls[layouts[0]]()
        difference = 0.0
        for name in engines:
            call = _engine_call(Engine(graph, threads, sparse=name == "sparse"), image)
            difference = max(difference, float(np.abs(call() - expected).max() / np.abs(expected).max()))
            calls[name] = call
        if not difference <= TOLERANCE:
            raise SparsenetError(
                f"{stage}: engine and PyTorch differ by {difference:.1e} of the largest logit: their times mean nothing"
            )
        if quantized:
            calls |= _integer_calls(stage, quantized, engines, threads, image)
        clock = PROCESS if threads == 1 else WALL
        turns = turns_of(calls, clock)
        taken = take_rounds(turns, rounds_for(turns, seconds, FEWEST_ROUNDS, MOST_ROUNDS), clock)
    return _timing(stage, taken, layouts, difference)


def _timing(stage: str, taken: Rounds, layouts: Sequence[str], difference: float) -> Timing:
    times = {name: taken.seconds(name)[0] for name in taken.samples}
    layout = min(layouts, key=lambda name: np.median(times[name]))
    chosen = {"pytorch": layout} | {name: name for name in times if name not in layouts}
    latencies = []
    for engine, name in chosen.items():
        median, (low, high) = spread(times[name] * 1e3)
        setting = layout if engine == "pytorch" else ""
        latencies.append(Latency(stage, engine, setting, len(times[name]), median, low, high))
    speedups = []
    for slow, fast in PAIRS:
        if slow in chosen and fast in chosen:
            r = taken.ratio(chosen[slow], chosen[fast])
            speedups.append(
                Speedup(stage, slow, fast, r.median, r.low, r.high, r.rounds, r.dropped, r.noisy, r.at_least)
            )
    return Timing(latencies, speedups, difference)


def _torch_call(model: nn.Module, image: FloatArray, layout: str) -> Callable[[], FloatArray]:
    # The overloads of Module.to do not know memory_format.
    laid_out = copy.deepcopy(model).eval().to(memory_format=LAYOUTS[layout])  # type: ignore[call-overload]
    x = torch.from_numpy(image).contiguous(memory_format=LAYOUTS[layout])

    def call() -> FloatArray:
        with torch.inference_mode():
            output: FloatArray = laid_out(x).numpy()
        return output

    return call


def _integer_calls(
    stage: str, quantized: Graph, engines: Sequence[str], threads: int, image: FloatArray
) -> dict[str, Callable[[], FloatArray]]:
    calls = {
        f"int8-{name}": _engine_call(Engine(quantized, threads, sparse=name == "sparse"), image)
        for name in engines
    }
    if len({call().tobytes() for call in calls.values()}) > 1:
        raise SparsenetError(f"{stage}: dense and sparse kernels differ in int8: their times mean nothing")
    return calls


def _engine_call(engine: Engine, image: FloatArray) -> Callable[[], FloatArray]:
    def call() -> FloatArray:
        output = engine(image)
        assert isinstance(output, np.ndarray)
        return output

    return call


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
