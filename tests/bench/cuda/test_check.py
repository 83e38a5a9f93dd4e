"""The check of a GPU against the CPU, on the simulator."""

from __future__ import annotations

import numpy as np
import pytest

import tests.sparsenet.targets.cuda.simulator  # noqa: F401 - before any CUDA kernel is imported
from bench.cuda import check as module
from bench.cuda.__main__ import arguments
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


def test_arguments() -> None:
    assert arguments(["--check", "--batch", "1", "8"]).batch == [1, 8]
