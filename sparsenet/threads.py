"""Worker threads of our own: they wait by spinning for a moment, then park, and walk the tape beside the caller."""

from __future__ import annotations

import ctypes
import math
import os
import threading
from pathlib import Path

import numpy as np

from sparsenet.kernels.tape import ask_address, run_tape_address, worker_address

#: Polls before a worker parks: a few hundred microseconds, so back-to-back inferences wake nobody.
SPINS_BEFORE_PARKING = 20_000

_RunTape = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)
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


class WorkerPool:
    """Runs a tape on ``threads`` threads, the calling one among them.

    Protocol per worker, in ``control``: the caller writes the job, then raises ``asked``; the worker runs and raises
    ``done``. A worker that has waited long sets ``parked`` and, unless ``asked`` moved meanwhile, leaves compiled
    code to block on a semaphore. All accesses are sequentially consistent, so one side always sees the other.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._run = _RunTape(run_tape_address())
        self._ask = _Ask(ask_address())
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._stopping = False
        self._job = np.zeros(8, np.int64)
        self._counter = np.zeros(8, np.int64)
        self._controls = [np.zeros(8, np.int64) for _ in range(self.threads - 1)]
        self._wake = [threading.Semaphore(0) for _ in self._controls]
        self._workers = []
        for index in range(len(self._controls)):
            worker = threading.Thread(
                target=self._work, args=(index,), name=f"sparsenet-{index + 1}", daemon=True
            )
            worker.start()
            self._workers.append(worker)

    def _work(self, index: int) -> None:
        function = _Worker(worker_address())
        control, job = self._controls[index], self._job
        while True:
            function(control.ctypes.data, job.ctypes.data, index + 1, SPINS_BEFORE_PARKING)
            self._wake[index].acquire()
            if self._stopping:
                return

    def run(self, tape: int, rows: int, bases: int) -> None:
        """Run ``rows`` rows of the tape at address ``tape`` with the base table at address ``bases``."""
        if self.threads == 1:
            self._run(tape, rows, bases, 0, 1, 0)
            return
        with self._lock:
            if self._process != os.getpid():  # forked: the workers stayed in the parent
                self._start()
            self._counter[0] = 0
            self._job[:5] = tape, rows, bases, self.threads, self._counter.ctypes.data
            for control, wake in zip(self._controls, self._wake, strict=True):
                if self._ask(control.ctypes.data):
                    wake.release()
            self._run(tape, rows, bases, 0, self.threads, self._counter.ctypes.data)
            for control in self._controls:
                while control[1] != control[0]:
                    pass

    def close(self) -> None:
        """End the workers."""
        with self._lock:
            self._stopping = True
            for control, wake in zip(self._controls, self._wake, strict=True):
                control[2] = 1
                wake.release()
            for worker in self._workers:
                worker.join(timeout=5)
