"""Times beside the dense kernels and the unpruned network, and only of kernels that agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import sparsenet
from converters import from_torch
from sparsenet.errors import SparsenetError
from sparsenet.timing import PATIENCE
from training.pruning import find_masks
from training.reproduce import latency
from training.reproduce.latency import FEWEST_ROUNDS, MOST_ROUNDS, time_file


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    model = nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 32, 1))
    image = np.zeros((1, 3, 64, 64), np.float32)
    sparsenet.save(from_torch(model, image), folder / "whole.safetensors")
    find_masks(model, sparsity=0.95).apply(model)
    sparsenet.save(from_torch(model, image), folder / "pruned.safetensors")
    return folder / "whole.safetensors", folder / "pruned.safetensors"


def test_a_network_is_timed_three_times_a_round(files: tuple[Path, Path]) -> None:
    whole, pruned = files
    found = time_file(pruned, whole, threads=1, seconds=0.05)
    assert FEWEST_ROUNDS <= found["rounds"] + found["dropped"] <= PATIENCE * MOST_ROUNDS
    assert found["clock"] == "cpu"
    assert all(found[f"{name}_ms"] > 0 for name in ("whole", "dense", "sparse"))
    for name in ("whole", "dense"):
        median, low, high = found[f"against_{name}"]
        assert median is low is high is None or 0 < low <= median <= high


def test_kernels_that_disagree_are_not_timed(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "TOLERANCE", -1.0)
    with pytest.raises(SparsenetError, match="no time is meaningful"):
        time_file(files[1], files[0], threads=1, seconds=0.05)
