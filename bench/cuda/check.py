"""Whether a GPU computes what the CPU engine computes: every network, sparsity and batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.measure.agreement import TOLERANCE
from converters.verify import relative_error
from sparsenet import Engine, Graph
from sparsenet.graph import FloatArray
from sparsenet.graph.feeds import random_inputs
from sparsenet.timing import stopwatch

#: Images of a batch that are held against the CPU, which takes its time: the ends, where tiles end, and some between.
MOST_COMPARED = 8


@dataclass(frozen=True)
class Check:
    """One network at one sparsity and batch.

    Attributes:
        error: largest relative difference of any output, over the images compared.
        seconds: what starting and running took on the GPU.
    """

    model: str
    sparsity: float
    batch: int
    error: float
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; a NaN is not."""
        return self.error <= TOLERANCE


def check(
    graph: Graph,
    name: str,
    sparsity: float,
    batches: Sequence[int],
    threads: int | None = None,
    seed: int = 0,
) -> list[Check]:
    """Run ``graph`` on both for each batch; the GPU twice, to meet its own leftovers."""
    on_cpu, on_gpu = Engine(graph, threads), Engine(graph, device="cuda", sizes=1)
    checks = []
    for batch in batches:
        feeds = random_inputs(graph.inputs, batch, seed)
        images = _compared(batch)
        want = on_cpu.run({key: array[images] for key, array in feeds.items()})
        passed, errors = stopwatch(), []
        for _ in range(2):
            got = on_gpu.run(feeds)
            errors += [_error(got[key][images], want[key]) for key in want]
        checks.append(Check(name, sparsity, batch, max(errors), passed()))
    on_cpu.close()
    on_gpu.close()
    return checks


def _compared(batch: int) -> list[int]:
    if batch <= MOST_COMPARED:
        return list(range(batch))
    return [round(i * (batch - 1) / (MOST_COMPARED - 1)) for i in range(MOST_COMPARED)]


def _error(got: FloatArray, want: FloatArray) -> float:
    return float("inf") if not np.isfinite(got).all() else relative_error(got, want)
