"""Worker threads of our own, which go through the tapes beside the caller, by the rules of ``kernels.team``."""

from __future__ import annotations

import ctypes
import math
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sparsenet.kernels import tape, team
from sparsenet.locks import Lock

_Run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 8)
_Worker = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)
_Stop = ctypes.CFUNCTYPE(None, ctypes.c_int64)


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


class _Team:
    """The memory that a pool shares with its workers, and the workers; they hold this, never the pool.

    A worker is in compiled code from its beginning to its end. One that the system does not give is done without.
    """

    def __init__(self, threads: int, workers: int, address: Callable[[str], int]) -> None:
        self.process = os.getpid()
        self.stopped = False
        self._words = np.zeros(team.team_words(threads) + team.CLAIM_WORDS, np.int64)
        self.address = -(-self._words.ctypes.data // team.ALIGNMENT) * team.ALIGNMENT
        self._words[(self.address - self._words.ctypes.data) // 8 + team.EPOCH] = team.FIRST_EPOCH
        self.workers: list[threading.Thread] = []
        self._stop = _Stop(address("stop"))
        if not workers:
            return
        function = _Worker(address("worker"))
        for number in range(1, workers + 1):
            worker = threading.Thread(
                target=_help, args=(self, function, number, threads), name=f"sparsenet-{number}", daemon=True
            )
            try:
                worker.start()
            except RuntimeError:  # no more threads, or the interpreter is ending
                break
            self.workers.append(worker)

    def stop(self) -> None:
        """End the workers: by ``close``, or when the pool is forgotten. A run goes on without them."""
        if self.process == os.getpid():
            self.stopped = True
            self._stop(self.address)


def _help(owner: _Team, function: Callable[[int, int, int], None], number: int, threads: int) -> None:
    function(owner.address, number, threads)


class WorkerPool:
    """Runs plans on ``threads`` threads, the calling one among them.

    A run is one call of compiled code, so no exception can fall between its beginning and its end. Of runs at the same
    time, one has the workers' help; the others do their work alone.

    Args:
        workers: threads to start; other than ``threads - 1`` only for tests, since every run ends without any.
    """

    def __init__(
        self, threads: int, address: Callable[[str], int] = tape.address, *, workers: int | None = None
    ) -> None:
        self.threads = threads
        self._address, self._workers = address, threads - 1 if workers is None else workers
        self._run = _Run(address("run"))
        self._lock = Lock()
        self._start()

    def _start(self) -> None:
        self._team = _Team(self.threads, self._workers, self._address)
        self._finalizer = weakref.finalize(self, self._team.stop)

    def run(self, sections: int, count: int, bases: int, spent: int, *, ask: bool, stamps: int = 0) -> None:
        """Run ``count`` sections of a plan; see ``kernels.team.build_run``. With ``ask`` false, without the workers."""
        if self.threads > 1 and (self._team.process != os.getpid() or self._team.stopped):
            with self._lock:  # forked, or closed before
                if self._team.process != os.getpid() or self._team.stopped:
                    self._start()
        asked = ask and self.threads > 1
        own = self._team  # keeps its memory, whoever closes the pool meanwhile and starts another team
        self._run(own.address, sections, count, self.threads, bases, stamps, asked, spent)

    def close(self) -> None:
        """End the workers and wait for them; the next run would start new ones."""
        with self._lock:
            self._finalizer()
            for worker in self._team.workers:
                worker.join(timeout=5)
