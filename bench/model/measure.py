"""Measuring one network in several engines: prepared, checked, warmed, timed in turn."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from bench.engines import ENGINES, EngineMissing, Network, Session, session_clock, session_turns
from bench.engines.deepsparse import PYTHON_VARIABLE
from bench.measure.agreement import check_outputs
from bench.subjects.sparsity import sparsify
from sparsenet import Graph
from sparsenet.errors import InputError
from sparsenet.graph.counts import count_layers, total
from sparsenet.targets.cpu.runtime.threads import available_cpus
from sparsenet.timing import SETTLE, Clock, Rounds, take_rounds
from sparsenet.timing.layer_profile import Profile

FEWEST_ROUNDS, MOST_ROUNDS = 5, 2000


@dataclass(frozen=True)
class Settings:
    """How one table is measured; ``docs/benchmark.md`` explains every field.

    Attributes:
        engines: in the order of the table; the ratios are against the first that is there.
        threads, batch: of every engine.
        seconds, warmup: of timing, and of running before it, all engines together; up to three times as many of
            timing where other work disturbs it.
        rounds: how many instead of ``seconds``, or None.
        seed: of the input and of the order.
    """

    engines: tuple[str, ...]
    threads: int
    batch: int
    seconds: float = 10.0
    warmup: float = 2.0
    rounds: int | None = None
    seed: int = 0

    @property
    def clock(self) -> Clock:
        """What the table is measured by."""
        return session_clock(self.engines, self.threads)


@dataclass(frozen=True)
class Result:
    """One engine at one sparsity, number of threads and batch; ``docs/benchmark.md`` explains every field."""

    engine: str
    sparsity: float | None
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
    speedup: float | None
    speedup_low: float | None
    speedup_high: float | None
    too_noisy: bool
    prepare_ms: float
    first_ms: float
    memory_mb: float | None
    error: float
    clock: str
    rounds: int
    dropped: int


@dataclass(frozen=True)
class Layer:
    """One layer in our engine, with sparse and with dense kernels; ms, GFLOP/s on nonzeros.

    ``rounds`` and ``dropped``: runs that count, and disturbed ones, of whichever had fewer that count; ``too_noisy``
    if too few are left, and then there is no speed-up.
    """

    sparsity: float | None
    threads: int
    layer: str
    op: str
    nnz: int
    density: float
    dense_ms: float | None
    sparse_ms: float | None
    speedup: float | None
    gflops: float | None
    kernel: str
    rounds: int
    dropped: int
    too_noisy: bool


@dataclass
class Prepared:
    """A session with what its start cost."""

    session: Session
    prepare: float
    first: float
    memory: int | None


def check_settings(settings: Settings) -> None:
    """Raises InputError for an unknown engine, or more threads than this process has CPUs."""
    for name in settings.engines:
        if name not in ENGINES:
            raise InputError(f"unknown engine '{name}': choose from {', '.join(ENGINES)}")
    if settings.threads > available_cpus():
        raise InputError(
            f"{settings.threads} threads asked for, but this process may use {available_cpus()} CPUs: threads that "
            "take turns on a CPU measure nothing"
        )


def measure(
    graph: Graph,
    sparsity: float | None,
    settings: Settings,
    skipped: dict[str, str],
    inspect: Callable[[dict[str, Session], np.ndarray], object] = lambda *_: None,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> list[Result]:
    """One result for each engine that is installed.

    Args:
        graph: the network.
        sparsity: fraction of zeros to impose on its prunable layers, or None for the network as it is.
        settings: see there.
        skipped: gets engine → why it is not there.
        inspect: called with the sessions and their input after timing, while they are open.
        progress: called with rounds done and rounds in all.

    Raises:
        SparsenetError: outputs differ, so that times mean nothing.
        InputError: no engine is left.
    """
    check_settings(settings)
    network = Network(graph if sparsity is None else sparsify(graph, sparsity), settings.batch)
    x = network.example(settings.seed)
    prepared: dict[str, Prepared] = {}
    try:
        outputs = {}
        for name in settings.engines:
            try:
                prepared[name], outputs[name] = _prepare(name, network, x, settings.threads)
            except EngineMissing as missing:
                skipped[name] = str(missing)
        if not prepared:
            raise InputError(f"no engine is left to time: {'; '.join(skipped.values())}")
        label = "" if sparsity is None else f" at {sparsity:.0%}"
        errors = check_outputs(outputs, f"{graph.name}{label}")
        sessions = {name: entry.session for name, entry in prepared.items()}
        rounds = _warm_up(sessions, settings)
        done = 0

        def one_more(count: int) -> None:
            nonlocal done
            done += count
            progress(done, rounds)

        turns = session_turns(sessions, settings.clock)
        taken = take_rounds(turns, rounds, settings.clock, seed=settings.seed, progress=one_more)
        inspect(sessions, x)
    finally:
        for entry in prepared.values():
            entry.session.close()
        network.close()
    zeros = total(count_layers(network.graph)).sparsity
    return [
        _result(name, sparsity, zeros, settings, taken, prepared[name], errors[name]) for name in sessions
    ]


def _prepare(name: str, network: Network, x: np.ndarray, threads: int) -> tuple[Prepared, list[np.ndarray]]:
    before, start = _resident_bytes(), time.perf_counter()
    session = ENGINES[name](network, threads)
    ready = time.perf_counter()
    outputs = session(x)
    done = time.perf_counter()
    after = _resident_bytes()
    # What another process holds is not seen from here.
    memory = None if name == "deepsparse" or before is None or after is None else max(after - before, 0)
    return Prepared(session, ready - start, done - ready, memory), outputs


def _resident_bytes() -> int | None:
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 - nothing is a path here
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return None


def _warm_up(sessions: dict[str, Session], settings: Settings) -> int:
    """Run all in turn for ``warmup`` seconds, once at least; returns how many rounds fill ``seconds``."""
    end, rounds, start = time.perf_counter() + settings.warmup, 0, time.perf_counter()
    while rounds == 0 or time.perf_counter() < end:
        for session in sessions.values():
            session.turn(settings.clock)
        rounds += 1
    if settings.rounds is not None:
        return settings.rounds
    one_round = (time.perf_counter() - start) / rounds + SETTLE * len(sessions)
    return int(np.clip(settings.seconds / one_round, FEWEST_ROUNDS, MOST_ROUNDS))


def _result(
    name: str, sparsity: float | None, zeros: float, settings: Settings, taken: Rounds, prepared: Prepared,
    error: float,
) -> Result:  # fmt: skip
    first = next(iter(taken.samples))
    samples, _ = taken.seconds(name, first)
    ms, ratio = samples * 1e3, taken.ratio(name, first)
    low, high = ratio.interval or (None, None)
    return Result(
        engine=name, sparsity=sparsity, zeros=zeros, threads=settings.threads, batch=settings.batch,
        items_per_second=settings.batch / float(np.median(samples)),
        latency_ms_mean=float(ms.mean()), latency_ms_std=float(ms.std(ddof=1)) if ms.size > 1 else 0.0,
        latency_ms_median=float(np.median(ms)), latency_ms_min=float(ms.min()),
        latency_ms_p90=float(np.quantile(ms, 0.9)), latency_ms_p99=float(np.quantile(ms, 0.99)),
        speedup=ratio.told, speedup_low=low, speedup_high=high, too_noisy=ratio.noisy,
        prepare_ms=prepared.prepare * 1e3, first_ms=prepared.first * 1e3,
        memory_mb=None if prepared.memory is None else prepared.memory / 1e6, error=error,
        clock=taken.clock.counts, rounds=ratio.rounds, dropped=ratio.dropped,
    )  # fmt: skip


def layers_of(
    sessions: dict[str, Session], x: np.ndarray, sparsity: float | None, runs: int = 10
) -> list[Layer]:
    """Time of each layer in our engine, sparse and dense beside each other where both ran."""
    profiles: dict[str, Profile] = {}
    threads = 1
    for name in ("ours", "dense"):
        engine = sessions[name].engine if name in sessions else None
        if engine is not None:
            threads = engine.threads
            profiles[name] = engine.profile(x, runs=runs)
    names = dict.fromkeys(layer.layer for profile in profiles.values() for layer in profile)
    return [_layer(layer, profiles, sparsity, threads) for layer in names]


def _layer(name: str, profiles: dict[str, Profile], sparsity: float | None, threads: int) -> Layer:
    found = {
        engine: layer for engine, profile in profiles.items() for layer in profile if layer.layer == name
    }
    sparse, dense = found.get("ours"), found.get("dense")
    shown = sparse or dense
    assert shown is not None
    worst = min(profiles.values(), key=lambda profile: profile.counted)
    too_noisy = any(profile.too_noisy for profile in profiles.values())
    return Layer(
        sparsity, threads, name, shown.op, shown.nnz, shown.density,
        dense.ms if dense else None, sparse.ms if sparse else None,
        dense.ms / sparse.ms if dense and sparse and sparse.ms > 0 and not too_noisy else None,
        shown.gflops or None, shown.kernel, worst.counted, worst.dropped, too_noisy,
    )  # fmt: skip


def installed(engines: Sequence[str]) -> tuple[str, ...]:
    """Those of ``engines`` whose packages are there, judged without importing them."""
    needs = {"ort": "onnxruntime", "deepsparse": "deepsparse", "openvino": "openvino", "torch": "torch"}
    elsewhere = {"deepsparse"} if PYTHON_VARIABLE in os.environ else set()
    return tuple(name for name in engines if name in elsewhere or name not in needs or find_spec(needs[name]))
