"""What the variants of a sweep take, all of them in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import sparsenet
from sparsenet.graph.feeds import random_inputs
from sparsenet.timing import clock_for, interleaved, spread
from training.detection.sweep_table import Latency


def latencies(
    dense: Path, files: Mapping[str, Path], rounds: int, threads: int | None = None
) -> dict[str, Latency]:
    """The latency of each variant, by name.

    Args:
        dense: the model file that all are compared to, run on dense kernels.
        files: of the variants.
        rounds: how often each has its turn.
        threads: of the engines; None takes the CPUs this process may use.
    """
    baseline = sparsenet.load(dense, threads, sparse=False)
    engines = {name: sparsenet.load(file, threads) for name, file in files.items()}
    feeds = random_inputs(baseline.inputs, 1, 0)
    calls: dict[str, Callable[[], object]] = {"": partial(baseline.run, feeds)}
    calls |= {name: partial(engine.run, feeds) for name, engine in engines.items()}
    taken = interleaved(calls, rounds, clock_for(baseline.threads))
    found = {}
    for name in engines:
        ms, ratio = spread(1e3 * taken.seconds(name)[0]), taken.ratio("", name)
        found[name] = Latency(
            ms.median, ms.iqr, ratio.told, ratio.interval, taken.clock.counts, ratio.rounds, ratio.dropped
        )
    for engine in (baseline, *engines.values()):
        engine.close()
    return found
