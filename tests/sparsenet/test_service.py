"""An engine in a service: many threads, many runs, several engines at once.

``SPARSENET_FULL=1`` runs the full counts: 8 threads of 10,000 runs, and 100,000 runs in a row.
"""

from __future__ import annotations

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import sparsenet
from sparsenet import Engine
from sparsenet.errors import InputError, MemoryLimitError
from tests.full import FULL
from tests.sparsenet.sample_graphs import minixception, tiny_graph

THREADS, RUNS_EACH = 8, 10_000 if FULL else 300
RUNS_IN_A_ROW = 100_000 if FULL else 5_000


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 1, 3, 8, 8)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_runs_from_eight_threads_give_what_one_thread_gives(threads: int) -> None:
    engine = Engine(tiny_graph(), threads)
    inputs = images(16)
    expected = [engine(x) for x in inputs]
    runs = (
        RUNS_EACH if threads == 1 else RUNS_EACH // 10
    )  # two pools of workers on one CPU wait for each other

    def work(thread: int) -> int:
        wrong = 0
        for run in range(runs):
            i = (thread + run) % len(inputs)
            wrong += any(
                not np.array_equal(a, b) for a, b in zip(engine(inputs[i]), expected[i], strict=True)
            )
        return wrong

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) == 0
    engine.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_many_runs_take_no_more_memory() -> None:
    engine = Engine(tiny_graph(), 1)
    (x,) = images(1)

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def grown() -> int:
        before = resident()
        for _ in range(RUNS_IN_A_ROW):
            engine(x)
        return resident() - before

    for _ in range(1000):
        engine(x)
    # Not three bytes a run, counted over the full number. What is lost is lost each time; what else a process comes to
    # hold, with all the tests before this one, is not.
    assert min(grown() for _ in range(3)) < 256 * 1024


def test_several_engines_at_once() -> None:
    inputs = images(4)
    engines = [Engine(tiny_graph(), threads) for threads in (1, 2, 1, 2)]
    expected = [engines[0](x) for x in inputs]

    def work(engine: Engine) -> bool:
        return all(
            np.array_equal(a, b)
            for x, want in zip(inputs, expected, strict=True)
            for a, b in zip(engine(x), want, strict=True)
        )

    with ThreadPoolExecutor(len(engines)) as pool:
        for _ in range(20):
            assert all(pool.map(work, engines))
    for engine in engines:
        engine.close()


def test_engines_come_and_go() -> None:
    (x,) = images(1)
    want = Engine(tiny_graph(), 1)(x)
    for _ in range(20):
        engine = Engine(tiny_graph(), 2)
        for a, b in zip(engine(x), want, strict=True):
            np.testing.assert_array_equal(a, b)
        engine.close()


# --- without a compiler -----------------------------------------------------------------------------------------


def test_numpy_backend_computes_the_same() -> None:
    graph = minixception((8,))
    x = np.random.default_rng(0).standard_normal((2, 3, 256, 256)).astype(np.float32)
    slow, fast = Engine(graph, backend="numpy"), Engine(graph, 1)
    want = fast(x)
    assert isinstance(want, np.ndarray)
    np.testing.assert_allclose(slow(x), want, atol=1e-5 * float(np.abs(want).max()))
    assert slow.inputs == fast.inputs
    assert slow.outputs == fast.outputs
    assert {d.kernel for d in slow.explain()} == {"numpy"}
    profile = slow.profile(x, runs=1)
    assert [p.layer for p in profile] == [n.name for n in graph.nodes]
    assert sum(p.share for p in profile) == pytest.approx(1)
    slow.close()


def test_numpy_backend_checks_its_inputs(tmp_path: Path) -> None:
    sparsenet.save(tiny_graph(), tmp_path / "m.safetensors")
    engine = sparsenet.load(tmp_path / "m.safetensors", backend="numpy")
    with pytest.raises(InputError, match="must have shape"):
        engine(np.zeros((1, 3, 8, 9), np.float32))
    logits, pooled = engine(np.zeros((0, 3, 8, 8), np.float32))
    assert (logits.shape, pooled.shape) == ((0, 3), (0, 2, 1, 1))


def test_unknown_backend() -> None:
    with pytest.raises(InputError, match="backend must be one of auto, compiled, numpy"):
        Engine(tiny_graph(), backend="gpu")  # type: ignore[arg-type]


# --- the memory limit -------------------------------------------------------------------------------------------


def test_a_batch_whose_outputs_exceed_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tiny_graph(), 1)
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "1000")
    engine(np.zeros((2, 3, 8, 8), np.float32))
    with pytest.raises(MemoryLimitError, match="outputs for a batch of 100 would take 2000 bytes"):
        engine(np.zeros((100, 3, 8, 8), np.float32))
