"""Kernels between guard pages: that a byte too far is noticed, and that networks of all ops stay within theirs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.full import crossed

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mprotect")

TOO_FAR = """
import sys
import numpy as np
from bench.kernels.one_kernel import At, OneKernel
from sparsenet.targets.host import host
from tests import guard_pages
guard_pages.install(sys.argv[1])
out = np.zeros(1024, np.float32)
offset = int(sys.argv[2])
OneKernel(host().vector().kernel("fill_none_any"), {"value": 1.0, "size": 1024, "out": At(out, max(0, offset))})()
print(out.sum())
"""
ALL_OPS = """
import sys
from tests import guard_pages
guard_pages.install(sys.argv[1])
from tests.fuzz import check, seeds
for graph in seeds.graphs():
    print(graph.name, check.compare(graph, graph, int(sys.argv[2])))
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def test_a_write_behind_the_end_ends_the_process() -> None:
    assert run(TOO_FAR, "end", "0").stdout == "1024.0\n"
    assert run(TOO_FAR, "end", "4").returncode == -signal.SIGSEGV


@pytest.mark.slow
@pytest.mark.parametrize("side, threads", crossed(["end", "start"], ["2", "1"]))
def test_networks_of_all_ops_stay_within_their_memory(side: str, threads: str) -> None:
    done = run(ALL_OPS, side, threads)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()
    assert all(line.endswith("ran") for line in done.stdout.splitlines())
