"""Other work ends with its block, and the affinity comes back."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

import pytest

from bench.measure import load
from bench.measure.load import AT_WORK, processes, spinning_on


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Processes that the module starts."""
    found: list[subprocess.Popen[bytes]] = []
    make = subprocess.Popen
    monkeypatch.setattr(load.subprocess, "Popen", lambda *a, **k: found.append(make(*a, **k)) or found[-1])
    return found


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_loops_end_and_the_affinity_comes_back(started: list[subprocess.Popen[bytes]]) -> None:
    before = os.sched_getaffinity(0)
    with spinning_on([min(before)]):
        assert started[0].poll() is None
        assert os.sched_getaffinity(started[0].pid) == {min(before)}
        assert os.sched_getaffinity(0) == before
    assert started[0].returncode is not None


def test_processes_are_at_work_and_end_after_an_error(started: list[subprocess.Popen[bytes]]) -> None:
    program = f"import sys, time; assert sys.argv[1:] == ['a', '3']; {AT_WORK}; time.sleep(600)"
    with suppress(KeyError), processes(2, program, "a", 3):
        assert [process.poll() for process in started] == [None, None]
        raise KeyError
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
