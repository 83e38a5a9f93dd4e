"""Short campaigns of ``tests.fuzz.interrupts``, and a trial of what one notices; SPARSENET_FULL=1 runs long ones."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sparsenet.locks import Lock
from sparsenet.targets.cpu.runtime.threads import WorkerPool
from tests.fuzz import interrupts

ROOT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("SPARSENET_FULL") == "1"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def campaign(*arguments: object) -> str:
    """In a process of its own, which a hang ends; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.interrupts", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("cores", [1, 2] if FULL else [1])
@pytest.mark.parametrize("threads", [1, 2])
def test_runs_interrupted_in_every_way(threads: int, cores: int) -> None:
    cases = 10_000 if FULL else 60
    said = campaign("--way", "all", "--threads", threads, "--cores", cores, "--cases", cases)
    assert said.count(f"{cases} cases, {cases} exceptions, 0 wrong, left: nothing") >= 2


@pytest.mark.slow
def test_all_other_work_interrupted_at_places_of_its_code() -> None:
    said = campaign("--work", "all", "--way", "place", "--threads", 2, "--cases", 2000 if FULL else 3)
    assert len(said.splitlines()) == 10


def test_no_descriptor_is_left_wherever_an_exception_comes() -> None:
    said = campaign("--work", "files", "--way", "place", "--threads", 1, "--cases", 600)
    assert said.endswith("600 cases, 600 exceptions, 0 wrong, left: nothing\n")


def test_a_campaign_notices_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    steady, seen = 0, 0
    while steady < 20:  # workers of tests before this one end
        time.sleep(0.01)
        steady, seen = (steady + 1 if interrupts.tasks() == seen else 0), interrupts.tasks()
    before, foreign = interrupts._held(), interrupts.tasks() - threading.active_count()
    monkeypatch.setattr(interrupts.time, "sleep", lambda _seconds: None)
    pool, lock = WorkerPool(2), Lock()
    lock.acquire()
    descriptor = os.dup(0)
    memory = mmap.mmap(-1, 2 * interrupts.SLACK)  # malloc may hand out pages that the process already has
    memory.write(bytes(len(memory)))
    try:
        left = interrupts._left(before, foreign)
        assert [words.split(" ", 1)[1] for words in left] == ["workers", "descriptors", "MiB", "locks"]
    finally:
        pool.close()
        lock.release()
        os.close(descriptor)
        memory.close()


def test_places_are_those_where_an_exception_can_come() -> None:
    """Each of them in turn, in the order of the code; never between a lock's taking and the block that frees it."""
    lock, places, met = Lock(), interrupts.Places(), []

    def work() -> None:
        with lock:
            met.append(len(met))

    last = places.count(work)
    assert last >= 2
    for place in range(1, last + 1):
        with pytest.raises(interrupts.InterruptError):
            places.count(work, place)
        assert interrupts._free(lock)
    assert places.count(work, last + 1) == last
