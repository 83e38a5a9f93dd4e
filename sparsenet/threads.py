"""Worker threads of our own: they wait by spinning for a moment, then park, and walk the tape beside the caller."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sparsenet.kernels import tape
from sparsenet.locks import Lock

#: Polls before a worker parks: a few hundred microseconds, so back-to-back inferences wake nobody.
SPINS_BEFORE_PARKING = 20_000

_RunTape = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)
_RunTapeTimed = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)
_Ask = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
_Worker = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)


def available_cpus() -> int:
    """CPUs this process may use: its affinity mask, lowered by the cgroup's quota (containers)."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    quota = _cgroup_quota()
    return max(1, min(count, math.ceil(quota))) if quota else count


def _cgroup_quota() -> float | None:
    """CPUs' worth of time the cgroup grants, or None without a limit (versions 2 and 1)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        microseconds = int((folder / "cpu.cfs_quota_us").read_text())
        return microseconds / int((folder / "cpu.cfs_period_us").read_text()) if microseconds > 0 else None
    except (OSError, ValueError):
        return None


def _other_cpus() -> set[int]:
    """CPUs that the calling thread may use, but for the one it runs on; empty where that cannot be told."""
    if _current_cpu is None:
        return set()
    return os.sched_getaffinity(0) - {_current_cpu()}


def _find_current_cpu() -> Callable[[], int] | None:
    if not hasattr(os, "sched_setaffinity"):
        return None
    function: Callable[[], int] | None = getattr(ctypes.CDLL(None), "sched_getcpu", None)
    return function


_current_cpu = _find_current_cpu()


class _Workers:
    """The memory that a pool shares with its workers, and the workers; they hold this, never the pool."""

    def __init__(self, count: int, address: Callable[[str], int]) -> None:
        self.address = address
        self.process = os.getpid()
        self.stopping = False
        self.away: set[int] = set()
        self.job = np.zeros(3 + 2 * count, np.int64)
        self.controls = [np.zeros(8, np.int64) for _ in range(count)]
        self.wake = [threading.Semaphore(0) for _ in range(count)]
        self.threads = [
            threading.Thread(target=_work, args=(self, i), name=f"sparsenet-{i + 1}", daemon=True)
            for i in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """End the workers; called once, by ``close`` or when the pool is forgotten."""
        if self.process != os.getpid():
            return
        self.stopping = True
        for control, wake in zip(self.controls, self.wake, strict=True):
            control[2] = 1
            wake.release()


def _work(workers: _Workers, index: int) -> None:
    function = _Worker(workers.address("worker"))
    control, job = workers.controls[index], workers.job
    while True:
        function(control.ctypes.data, job.ctypes.data, index + 1, SPINS_BEFORE_PARKING)
        workers.wake[index].acquire()
        if workers.stopping:
            return
        if workers.away:
            with contextlib.suppress(OSError):  # the process may use other CPUs by now
                os.sched_setaffinity(0, workers.away)


class WorkerPool:
    """Runs a tape on ``threads`` threads, the calling one among them.

    Protocol per worker, in its control block ``[asked, done, parked]``: the caller writes the job, then raises
    ``asked``; the worker runs and raises ``done``. A worker that has waited long sets ``parked`` and, unless ``asked``
    moved meanwhile, leaves compiled code to block on a semaphore. All accesses are sequentially consistent, so one
    side always sees the other.
    """

    def __init__(self, threads: int, address: Callable[[str], int] = tape.address) -> None:
        self.threads = threads
        self._address = address
        self._run = _RunTape(address("run_tape"))
        self._ask = _Ask(address("ask")) if threads > 1 else _Ask()
        self._lock = Lock()
        self._start()

    def _start(self) -> None:
        self._workers = _Workers(self.threads - 1, self._address)
        self._finalizer = weakref.finalize(self, self._workers.stop)

    def run(self, tapes: npt.NDArray[np.int64], bases: int) -> None:
        """Run the ``(address, rows)`` tape of every thread with the base table at address ``bases``."""
        if self.threads == 1:
            self._run(int(tapes[0, 0]), int(tapes[0, 1]), bases)
            return
        with self._lock:
            workers = self._give_work(tapes, bases)
            self._run(int(tapes[0, 0]), int(tapes[0, 1]), bases)
            _wait(workers)

    def run_timed(self, tapes: npt.NDArray[np.int64], bases: int) -> npt.NDArray[np.int64]:
        """As ``run``; returns the cycles that each row of the first thread's tape took."""
        stamps = np.zeros(int(tapes[0, 1]) + 1, np.int64)
        timed = _RunTapeTimed(self._address("run_tape_timed"))
        with self._lock:
            workers = self._give_work(tapes, bases)
            timed(int(tapes[0, 0]), int(tapes[0, 1]), bases, stamps.ctypes.data)
            _wait(workers)
        return np.diff(stamps)

    def _give_work(self, tapes: npt.NDArray[np.int64], bases: int) -> _Workers:
        if self._workers.process != os.getpid() or self._workers.stopping:  # forked, or closed before
            self._start()
        workers = self._workers
        workers.job[0] = bases
        workers.job[1:] = tapes.reshape(-1)
        parked = [
            wake
            for control, wake in zip(workers.controls, workers.wake, strict=True)
            if self._ask(control.ctypes.data)
        ]
        if parked:
            # The kernel likes to wake a thread where its waker runs, and there both would wait for each other.
            workers.away = _other_cpus()
            for wake in parked:
                wake.release()
        return workers

    def close(self) -> None:
        """End the workers and wait for them; the next run would start new ones."""
        with self._lock:
            self._finalizer()
            for thread in self._workers.threads:
                thread.join(timeout=5)


def _wait(workers: _Workers) -> None:
    for control in workers.controls:
        while control[1] != control[0]:
            pass
