"""Short campaigns of ``tests.fuzz.exits``, and a trial of what one notices; SPARSENET_FULL=1 runs long ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.exits import KINDS

ROOT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("SPARSENET_FULL") == "1"
CASES = 1000 if FULL else 1

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs fork and pidfd_open")


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_processes_end_cleanly_in_every_way(threads: int) -> None:
    done = python("-m", "tests.fuzz.exits", "--threads", threads, "--cases", CASES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [f"{kind}, {threads} threads: {CASES} fine" for kind in KINDS]


_BAD = """
import ctypes, os, sys, time
from tests.fuzz import exits
exits.HANG = 1.0
def crash(case): ctypes.string_at(0)
def hang(case): time.sleep(600)
def speak(case): print("a word", file=sys.stderr)
def wrong(case):
    case.answer = case.answer + 1
    case.check()
for way in (crash, hang, speak, wrong):
    exits.KINDS = {way.__name__: way}
    print(way.__name__, dict(exits.campaign(way.__name__, 1, range(1))))
"""


def test_a_campaign_notices_crashes_hangs_words_and_wrong_answers() -> None:
    crash, hang, speak, wrong = python("-c", _BAD).stdout.splitlines()
    assert "status -11: Fatal Python error: Segmentation fault" in crash
    assert "status None: Fatal Python error: Aborted" in hang
    assert "status 0: a word" in speak
    assert "status 1: Traceback" in wrong
    assert "AssertionError" in wrong
