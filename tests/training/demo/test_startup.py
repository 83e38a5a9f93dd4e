"""Fresh processes: each measured by itself, whatever this one has in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import sparsenet
from converters import from_torch
from sparsenet.errors import SparsenetError
from training.checkpoint import ModelInfo, save_model
from training.demo.startup import startup
from training.models import build_model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("startup")
    model = build_model("minixception-128", 4).eval()
    save_model(folder / "weights.safetensors", model, ModelInfo("minixception-128", ("a", "b", "c", "d"), 32))
    sparsenet.save(from_torch(model, torch.zeros(1, 3, 32, 32)), folder / "model.safetensors")
    return folder / "model.safetensors", folder / "weights.safetensors"


def test_times_and_memory_are_of_the_fresh_process(files: tuple[Path, Path]) -> None:
    ballast = np.ones(10**9 // 8)
    engine, pytorch = startup(*files, 32)
    assert [engine.engine, pytorch.engine] == ["sparse", "pytorch"]
    for start in (engine, pytorch):
        assert min(start.importing, start.loading, start.first) > 0
        assert 10**7 < start.memory < ballast.nbytes
    assert engine.memory < pytorch.memory


def test_a_process_that_fails_is_an_error(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SparsenetError, match=r"start of sparse failed: .*gone"):
        startup(tmp_path / "gone.safetensors", files[1], 32)
