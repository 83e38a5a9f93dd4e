"""One network in several engines: a row of figures for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench.engines import ENGINES
from bench.engines.deepsparse import PYTHON_VARIABLE
from bench.measure.contest import Contest, Settings, contest
from bench.model.yardstick import YARDSTICK, yardstick
from bench.subjects.sparsity import sparsify
from sparsenet import Graph
from sparsenet.graph.counts import count_layers, total
from sparsenet.timing import Rounds, quartile_ratio


@dataclass(frozen=True)
class Result:
    """One engine at one sparsity, number of threads and batch; ``docs/benchmark.md`` explains every field."""

    engine: str
    sparsity: float | None
    block: str | None
    zeros: float
    threads: int
    batch: int
    items_per_second: float
    latency_ms_mean: float
    latency_ms_std: float
    latency_ms_median: float
    latency_ms_min: float
    latency_ms_p90: float
    latency_ms_p99: float
    latency_ms_p25: float
    latency_ms_p75: float
    latency_ms_max: float
    speedup: float | None
    speedup_low: float | None
    speedup_high: float | None
    too_noisy: bool
    yardsticks: float | None
    yardsticks_low: float | None
    yardsticks_high: float | None
    prepare_ms: float
    first_ms: float
    memory_mb: float | None
    error: float
    same_top: float | None
    clock: str
    rounds: int
    dropped: int
    speedup_at_least: float | None = None


def measure(
    graph: Graph,
    sparsity: float | None,
    settings: Settings,
    skipped: dict[str, str],
    inspect: Callable[[Contest], object] = lambda _: None,
    progress: Callable[[int, int], object] = lambda *_: None,
    block: str = "1x1",
    file: Path | None = None,
) -> list[Result]:
    """One result for each engine that is installed.

    Args:
        graph: the network.
        sparsity: fraction of zeros to impose on its prunable layers, or None for the network as it is.
        settings: see there.
        skipped: gets engine → why it is not there.
        inspect: called with the engines after timing, while they are open.
        progress: called with rounds done and rounds in all.
        block: of the zeros to impose; see ``bench.subjects.sparsity.BLOCKS``.
        file: the ONNX file that the graph was read from.

    Raises:
        SparsenetError: outputs differ, so that times mean nothing.
        InputError: no engine is left; an unknown engine; more threads than CPUs.
    """
    settings.check()
    label = "" if sparsity is None else f" at {sparsity:.0%}"
    pruned = graph if sparsity is None else sparsify(graph, sparsity, block)
    imposed = None if sparsity is None else block
    zeros = total(count_layers(pruned)).sparsity
    as_it_is = file if sparsity is None else None
    with contest(pruned, settings, skipped, f"{graph.name}{label}", as_it_is) as field:
        taken = field.take(progress, {YARDSTICK: yardstick()})
        inspect(field)
        return [_result(name, sparsity, imposed, zeros, field, taken) for name in field.entrants]


def _result(
    name: str, sparsity: float | None, block: str | None, zeros: float, field: Contest, taken: Rounds
) -> Result:
    settings, entrant, first = field.settings, field.entrants[name], next(iter(taken.samples))
    rounded = field.rounded.get(name)
    samples, _ = taken.seconds(name, first)
    ms, ratio = samples * 1e3, taken.ratio(name, first)
    low, high = ratio.interval or (None, None)
    counted, dropped = taken.count(name, YARDSTICK)
    ours, fixed = taken.seconds(name, YARDSTICK)
    absolute = replace(quartile_ratio(ours, fixed, dropped), rounds=counted)
    least, most = absolute.interval or (None, None)
    return Result(
        engine=name, sparsity=sparsity, block=block, zeros=zeros, threads=settings.threads, batch=settings.batch,
        items_per_second=settings.batch / float(np.median(samples)),
        latency_ms_mean=float(ms.mean()), latency_ms_std=float(ms.std(ddof=1)) if ms.size > 1 else 0.0,
        latency_ms_median=float(np.median(ms)), latency_ms_min=float(ms.min()),
        latency_ms_p90=float(np.quantile(ms, 0.9)), latency_ms_p99=float(np.quantile(ms, 0.99)),
        latency_ms_p25=float(np.quantile(ms, 0.25)), latency_ms_p75=float(np.quantile(ms, 0.75)),
        latency_ms_max=float(ms.max()),
        speedup=ratio.told, speedup_low=low, speedup_high=high, too_noisy=ratio.noisy,
        yardsticks=absolute.told, yardsticks_low=least, yardsticks_high=most,
        prepare_ms=entrant.prepare * 1e3, first_ms=entrant.first * 1e3,
        memory_mb=None if entrant.memory is None else entrant.memory / 1e6, error=field.errors[name],
        same_top=rounded.same_top if rounded else None,
        clock=taken.clock.counts, rounds=ratio.rounds, dropped=ratio.dropped,
        speedup_at_least=ratio.at_least if ratio.noisy else None,
    )  # fmt: skip


def installed(engines: Sequence[str]) -> tuple[str, ...]:
    """Those of ``engines`` whose packages are there, judged without importing them."""
    elsewhere = {"deepsparse"} if PYTHON_VARIABLE in os.environ else set()
    needs = {name: ENGINES[name].package for name in engines}
    return tuple(
        name for name in engines if not needs[name] or needs[name] in elsewhere or find_spec(needs[name])
    )
