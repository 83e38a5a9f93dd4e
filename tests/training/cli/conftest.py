"""What tests of commands that prune without labels begin with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparsenet import save
from sparsenet.graph import Graph
from sparsenet.latency import paired
from sparsenet.timing import paired_ratio
from tests.converters.pruning.networks import multiply_adds, network, samples


class CountingTimer:
    """A machine that takes what it has to multiply."""

    def __init__(self, first: Graph) -> None:
        self.first = paired.Measured(multiply_adds(first), paired_ratio([1.0], [1.0]))

    def __call__(self, graph: Graph) -> dict[str, float]:
        return multiply_adds(graph)

    def measure(self, graph: Graph) -> paired.Measured:
        took = multiply_adds(graph)
        return paired.Measured(took, paired_ratio([self.first.ms], [sum(took.values())]))


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Model and inputs, on a machine that counts."""
    monkeypatch.setattr(paired, "PairedTimer", CountingTimer)
    save(network(), tmp_path / "dense.safetensors")
    np.save(tmp_path / "x.npy", samples(24))
    return [tmp_path / "dense.safetensors", "--calibrate", tmp_path / "x.npy", "--threads", 1]
