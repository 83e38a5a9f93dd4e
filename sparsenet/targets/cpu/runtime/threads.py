"""Worker threads that go through the tapes beside the caller, by the rules of ``runtime.team``."""

from __future__ import annotations

import _thread
import ctypes
import math
import os
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from sparsenet.locks import Lock
from sparsenet.targets.abi import WORD_BYTES
from sparsenet.targets.cpu.runtime import tape, team

_Run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 8)
# The objects are for Python to keep or to hand over; the compiled functions take the numbers before them.
_Worker = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3, ctypes.py_object)
_Stop = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.py_object, ctypes.py_object)
#: Seconds that closing waits for workers at most, and between two looks at them.
_PATIENCE, _LOOK = 5.0, 2e-4


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

    It exists, and will end with its pool, before any worker does, so an exception while they are started leaves none
    behind. A worker is in compiled code from its beginning to its end: the first line of Python in a new thread takes
    memory, and its failure could only be written to stderr. One that the system does not give is done without.
    """

    def __init__(self, pool: WorkerPool, address: Callable[[str], int]) -> None:
        self.process = os.getpid()
        self._words = np.zeros(team.team_words(pool.threads) + team.CLAIM_WORDS, np.int64)
        self.address = -(-self._words.ctypes.data // team.ALIGNMENT) * team.ALIGNMENT
        self._epoch = self._words[(self.address - self._words.ctypes.data) // WORD_BYTES + team.EPOCH :][:1]
        self._epoch[0] = team.FIRST_EPOCH
        self.workers: list[weakref.ref[_AtWork]] = []
        # Compiled code is the callback itself: in one written in Python, an exception might come first.
        self._stop = partial(_Stop(address("stop")), self.address, self)
        self._pool = weakref.ref(pool, self._stop)

    def start(self, workers: int, threads: int, address: Callable[[str], int]) -> None:
        """Start ``workers`` workers, or as many as the system allows."""
        function = _Worker(address("worker"))
        for number in range(1, workers + 1):
            at_work = _AtWork(self)
            try:
                _thread.start_new_thread(function, (self.address, number, threads, at_work))
            except (RuntimeError, MemoryError):  # no more threads, or the interpreter is ending
                break
            self.workers.append(weakref.ref(at_work))

    @property
    def over(self) -> bool:
        """Whether no run may use it: it was stopped, or its workers are another process's, which has forked."""
        return bool(self._epoch[0] & 1) or self.process != os.getpid()

    def stop(self) -> None:
        """End the workers; a run goes on without them."""
        self._stop(None)

    def wait(self) -> None:
        """Wait until the workers have ended."""
        workers, self.workers = self.workers, []
        deadline = time.monotonic() + _PATIENCE
        while self.process == os.getpid() and time.monotonic() < deadline and any(w() for w in workers):
            time.sleep(_LOOK)


class _AtWork:
    """An object that one worker alone holds while it runs; it keeps the team's memory alive."""

    def __init__(self, team: _Team) -> None:
        self._team = team


class WorkerPool:
    """Runs plans on ``threads`` threads, the calling one among them.

    A run is one call of compiled code, so no exception can fall between its beginning and its end. Of runs at the same
    time, one has the workers' help; the others do their work alone. Workers end when the pool is closed or forgotten.

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
        self._team = _Team(self, address)
        self._team.start(self._workers, threads, address)

    def _restart(self) -> None:
        new = _Team(self, self._address)
        before, self._team = self._team, new
        before.stop()  # a signal handler may have come in between and have started it
        new.start(self._workers, self.threads, self._address)

    def run(self, sections: int, count: int, bases: int, spent: int, *, ask: bool, stamps: int = 0) -> None:
        """Run ``count`` sections of a plan; see ``runtime.team.build_run``. With ``ask`` false, without the workers."""
        if self.threads > 1 and self._team.over:
            with self._lock:  # closed before, or forked
                if self._team.over:
                    self._restart()
        asked = ask and self.threads > 1
        own = self._team  # keeps its memory, whoever closes the pool meanwhile and starts another team
        self._run(own.address, sections, count, self.threads, bases, stamps, asked, spent)

    def close(self) -> None:
        """End the workers and wait for them; the next run would start new ones."""
        with self._lock:
            self._team.stop()
            self._team.wait()
