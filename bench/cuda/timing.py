"""Seconds by the GPU's clock: of PyTorch's work, and of this engine's recordings, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from sparsenet.timing import Samples

#: Calls of one recording of a single layer, which alone would be as short as the clock's steps.
REPEATS = 20

Timer = Callable[[], float]


def on_stream(body: Callable[[], Any]) -> Timer:
    """Seconds of ``body`` as PyTorch runs it, from its first kernel to its last, waiting for Python included."""

    def seconds() -> float:
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        first.record()
        body()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last)) * 1e-3

    return seconds


def as_graph(body: Callable[[], Any], repeats: int = 1) -> Timer:
    """Seconds of ``body`` as a CUDA graph, which holds it ``repeats`` times."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(repeats):
            body()
    replay = on_stream(graph.replay)
    return lambda: replay() / repeats


def repeated(body: Callable[[], Any], repeats: int = REPEATS) -> Timer:
    """Seconds of ``body``, of many calls in a row: for what cannot be recorded."""

    def many() -> None:
        for _ in range(repeats):
            body()

    seconds = on_stream(many)
    return lambda: seconds() / repeats


def interleaved(timers: Mapping[str, Timer], rounds: int, seed: int = 0) -> dict[str, Samples]:
    """Seconds of every timer, round by round, in an order drawn anew; two rounds more come first and do not count."""
    rng = np.random.default_rng(seed)
    names = list(timers)
    samples = {name: np.empty(rounds) for name in names}
    for number in range(-2, rounds):
        for name in rng.permutation(names):
            taken = timers[name]()
            if number >= 0:
                samples[name][number] = taken
    return samples


def tf32(allowed: bool) -> None:
    """Whether PyTorch may round float32 factors to 10 bits of fraction."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
