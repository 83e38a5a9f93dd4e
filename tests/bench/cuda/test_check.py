"""The check of a GPU against the CPU, on the simulator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tests.sparsenet.targets.cuda.simulator  # noqa: F401 - before any CUDA kernel is imported
from bench.cuda import check as module
from bench.cuda.__main__ import main
from bench.cuda.check import check
from tests.sparsenet.sample_graphs import tiny_graph


def test_what_is_right_passes() -> None:
    first, second = check(tiny_graph(), "tiny", 0.5, [1, 3], threads=1)
    assert (first.batch, second.batch) == (1, 3)
    assert first.passed
    assert second.passed


def test_what_is_wrong_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_error", lambda got, want: float(np.abs(got + 1 - want).max()))
    assert not check(tiny_graph(), "tiny", 0.5, [1], threads=1)[0].passed
    assert not module.Check("tiny", 0.5, 1, float("nan"), 0.0).passed


def test_a_large_batch_is_compared_at_its_ends_and_between() -> None:
    assert module._compared(3) == [0, 1, 2]
    images = module._compared(64)
    assert (images[0], images[-1], len(images)) == (0, 63, module.MOST_COMPARED)


@pytest.mark.parametrize("wrong, code", [(False, 0), (True, 1)])
def test_the_command(wrong: bool, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparsenet.targets.cuda.runtime.availability.require_gpu", lambda: None)
    monkeypatch.setattr("bench.subjects.networks.build_graph", lambda *_: tiny_graph())
    if wrong:
        monkeypatch.setattr(module, "_error", lambda *_: 1.0)
    words = [
        "--check",
        "--models",
        "maskcnn",
        "--sparsity",
        "0",
        "0.5",
        "--batch",
        "1",
        "2",
        "--threads",
        "1",
    ]
    done = CliRunner().invoke(main, [*words, "--json", str(tmp_path / "out.json")])
    assert done.exit_code == code, done.output
    checks = json.loads((tmp_path / "out.json").read_text())["checks"]
    assert [(c["sparsity"], c["batch"]) for c in checks] == [(0, 1), (0, 2), (0.5, 1), (0.5, 2)]
    assert ("maskcnn 50% batch 2: WRONG" if wrong else "maskcnn 50% batch 2: ok") in done.stdout
