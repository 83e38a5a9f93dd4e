"""The trial beside busy loops: who runs where, what a try tells, and how tries are judged."""

from __future__ import annotations

from pathlib import Path

import sparsenet
from bench.noise.trial import ONE, QUIET, TWO, Trial, attempt, placing, small_network, summary
from bench.subjects.sparsity import sparsify


def test_tries_are_judged_by_the_quiet_ones() -> None:
    quiet = Trial("bench", 1, QUIET, [4.9, 5.0, 5.1], [9] * 3, [0] * 3, 0.1)
    loaded = Trial("bench", 1, ONE, [4.6, None, 12.0, None, 4.4], [9] * 5, [20] * 5, 1.1)
    assert loaded.verdicts(5.0) == (1, 2, 2)
    assert loaded.verdicts(None) == (0, 2, 3)
    row = summary([quiet, loaded]).splitlines()[-1].split()
    assert row == ["bench", "1", *ONE.split(), "5", "1", "2", "2", "4.40", "to", "12.00", "9", "20", "1.1"]


def test_loops_share_the_cores_of_the_command() -> None:
    assert placing(1, QUIET, [3, 5]) == ([3], [])
    assert placing(1, ONE, [3, 5]) == ([3], [3])
    assert placing(1, TWO, [3, 5]) == ([3, 5], [3, 5])
    assert placing(2, ONE, [3, 5]) == ([3, 5], [3])


def test_a_try_of_the_real_command(tmp_path: Path) -> None:
    sparsenet.save(sparsify(small_network(), 0.9), tmp_path / "network.safetensors")
    told, counted, dropped = attempt("bench", tmp_path, 1, 0.05)
    assert told is None or told > 1
    assert counted + dropped >= 5
