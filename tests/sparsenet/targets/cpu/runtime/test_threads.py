"""Threads that come late, or never, or go amid the work: every share is run once, and nobody waits for ever."""

from __future__ import annotations

import _thread
import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, reference
from sparsenet.targets.cpu.runtime import tape
from sparsenet.targets.cpu.runtime.helping import Helping
from sparsenet.targets.cpu.runtime.threads import WorkerPool
from tests.sparsenet.sample_graphs import minixception, tiny_graph

ROOT = Path(__file__).resolve().parents[5]
SIDE = 256


@pytest.fixture(autouse=True)
def always_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the load, runs ask for help."""
    monkeypatch.setattr(Helping, "wanted", lambda _self, _now: True)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)


def engine_with(threads: int, workers: int | None = None) -> Engine:
    graph = minixception((16,))
    engine = Engine(graph, threads)
    engine._backend.pool.close()
    engine._backend.pool = WorkerPool(threads, workers=workers)
    return engine


@pytest.fixture(scope="module")
def expected(x: np.ndarray) -> dict[int, np.ndarray]:
    """Per number of threads what a full pool computes."""
    found: dict[int, Any] = {}
    for threads in (1, 2, 3, 4):
        engine = Engine(minixception((16,)), threads)
        found[threads] = engine(x)
        engine.close()
    return found


def test_all_numbers_of_threads_agree_with_the_reference(
    x: np.ndarray, expected: dict[int, np.ndarray]
) -> None:
    (want,) = reference.run(minixception((16,)), {"input": x}).values()
    for got in expected.values():
        np.testing.assert_allclose(got, want, atol=1e-5 * float(np.abs(want).max()))


@pytest.mark.parametrize("threads, workers", [(t, w) for t in (1, 2, 3, 4) for w in range(t)])
def test_any_number_of_workers_computes_the_same(
    x: np.ndarray, expected: dict[int, np.ndarray], threads: int, workers: int
) -> None:
    """Without workers, the caller takes every share over; without asking, it does so without the team."""
    engine = engine_with(threads, workers)
    assert len(engine._backend.pool._team.workers) == workers
    for ask in (True, False, True):
        engine._backend.own.helping.wanted = lambda _now, ask=ask: ask  # type: ignore[method-assign]
        for _ in range(5):
            np.testing.assert_array_equal(engine(x), expected[threads])
    engine.close()


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_workers_that_come_and_go(x: np.ndarray, expected: dict[int, np.ndarray], threads: int) -> None:
    """They join the team at any moment of a run, and leave it when it is dissolved amid one."""
    engine = engine_with(threads, 0)
    worker = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(tape.address("worker"))
    stop = threading.Event()

    def join_in(number: int) -> None:
        rng = random.Random(number)
        while not stop.is_set():
            time.sleep(rng.random() * 3e-3)
            worker(engine._backend.pool._team.address, number, threads)

    helpers = [threading.Thread(target=join_in, args=(n,)) for n in range(1, threads)]
    for helper in helpers:
        helper.start()
    for round_ in range(60):
        np.testing.assert_array_equal(engine(x), expected[threads], err_msg=f"round {round_}")
        if round_ % 10 == 9:
            threading.Timer(2e-3, engine._backend.pool._team.stop).start()
    stop.set()
    engine.close()
    engine._backend.pool._team.stop()
    for helper in helpers:
        helper.join(timeout=30)
        assert not helper.is_alive()


@pytest.mark.parametrize("threads", [2, 3])
def test_closing_amid_runs(x: np.ndarray, expected: dict[int, np.ndarray], threads: int) -> None:
    engine = engine_with(threads)

    def run(_: int) -> bool:
        return all(np.array_equal(engine(x), expected[threads]) for _ in range(20))

    with ThreadPoolExecutor(3) as pool:
        done = pool.map(run, range(3))
        for _ in range(10):
            time.sleep(3e-3)
            engine.close()
        assert all(done)
    engine.close()


def test_workers_that_the_system_does_not_give(
    x: np.ndarray, expected: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = _thread.start_new_thread, list[Any]()

    def fail_later(*what: Any) -> int:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(what)
        return start(*what)

    monkeypatch.setattr(_thread, "start_new_thread", fail_later)
    engine = Engine(minixception((16,)), 3)
    assert len(engine._backend.pool._team.workers) == 1
    np.testing.assert_array_equal(engine(x), expected[3])
    engine.close()


def test_idle_workers_take_no_time(x: np.ndarray) -> None:
    engine = engine_with(3)
    engine(x)
    taken = []
    for _ in range(4):  # what tests before have started may still be ending
        time.sleep(0.05)
        before = time.process_time()
        time.sleep(0.25)
        taken.append(time.process_time() - before)
    assert min(taken) < 0.05
    engine.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_profile_has_every_step_and_the_waiting(x: np.ndarray, workers: int) -> None:
    engine = engine_with(2, workers)
    plan = engine.plan
    for run in engine.step_cycles(x, runs=3).steps:
        assert len(run) == len(plan.timeline) == len(plan.layers[0]) + len(plan.ends)
        assert (run >= 0).all()
        assert run[[kernel is not None for _, kernel in plan.timeline]].all()
    assert "barrier" in {layer.layer for layer in engine.profile(x, runs=3)}
    engine.close()


# --- exceptions and signals -------------------------------------------------------------------------------------


class _InterruptError(Exception):
    pass


@pytest.fixture
def alarm() -> Iterator[Any]:
    """``alarm(handler)``; the handler before comes back."""
    before = signal.getsignal(signal.SIGALRM)
    yield lambda handler: signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
# Where Python has nobody to hand an exception to, as while it frees an object, it reports and drops it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_exceptions_at_any_moment_leave_the_engine_usable(threads: int, alarm: Any) -> None:
    engine = Engine(tiny_graph(), threads)
    x = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    want = engine(x)
    rng, interrupts = random.Random(0), 0

    def interrupt(*_: object) -> None:
        raise _InterruptError

    alarm(interrupt)
    for _ in range(1500):
        try:
            signal.setitimer(signal.ITIMER_REAL, 1e-6 + rng.random() * 3e-4)
            try:
                given_up = time.monotonic() + 1
                while time.monotonic() < given_up:
                    engine(x)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except _InterruptError:
            interrupts += 1
        for got, right in zip(engine(x), want, strict=True):
            np.testing.assert_array_equal(got, right)
    assert interrupts > 1450
    engine.close()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_from_a_signal_handler_during_a_run(threads: int, alarm: Any) -> None:
    engine = Engine(tiny_graph(), threads)
    x = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    want = engine(x)
    answers: list[bool] = []

    def handler(*_: object) -> None:
        answers.append(all(np.array_equal(a, b) for a, b in zip(engine(x), want, strict=True)))

    alarm(handler)
    signal.setitimer(signal.ITIMER_REAL, 1e-3, 7e-4)
    while len(answers) < 50:
        assert all(np.array_equal(a, b) for a, b in zip(engine(x), want, strict=True))
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert all(answers)
    engine.close()


# --- the end of a process ---------------------------------------------------------------------------------------

_DAEMONS = """
import atexit, sys, threading, time
import numpy as np
from sparsenet import Engine
from tests.sparsenet.sample_graphs import tiny_graph
engine = Engine(tiny_graph(), int(sys.argv[1]))
x = np.zeros((64, 3, 8, 8), np.float32)
engine(x)
def run():
    while True:
        engine(x)
for _ in range(2):
    threading.Thread(target=run, daemon=True).start()
time.sleep(0.1)
"""
_AT_EXIT = """
import atexit, sys
import numpy as np
from sparsenet import Engine
from tests.sparsenet.sample_graphs import tiny_graph
x = np.zeros((2, 3, 8, 8), np.float32)
engine = Engine(tiny_graph(), int(sys.argv[1]))
engine(x)
@atexit.register
def last():
    engine(x)
    Engine(tiny_graph(), int(sys.argv[1]))(x)
    print("answered")
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("program", [_DAEMONS, _AT_EXIT], ids=["daemons", "atexit"])
def test_the_interpreter_ends_cleanly(program: str, threads: int) -> None:
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program, str(threads)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert program is _DAEMONS or done.stdout == "answered\n"
