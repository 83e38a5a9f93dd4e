"""Seconds by the GPU's clock: of PyTorch's work, and of this engine's recordings, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from sparsenet.timing import DEVICE, Sample, Samples, take_rounds

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


def side_by_side(timers: Mapping[str, Timer], rounds: int) -> dict[str, Samples]:
    """Seconds of every timer in the same rounds; each is called twice before, which does not count."""

    def turn(timer: Timer) -> Sample:
        seconds = timer()
        return Sample(seconds, seconds, 0.0)

    for timer in (*timers.values(), *timers.values()):
        timer()
    turns = {name: partial(turn, timer) for name, timer in timers.items()}
    taken = take_rounds(turns, rounds, DEVICE, settle=0.0)
    return dict(zip(timers, taken.seconds(*timers), strict=True))


def tf32(allowed: bool) -> None:
    """Whether PyTorch may round float32 factors to 10 bits of fraction."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
