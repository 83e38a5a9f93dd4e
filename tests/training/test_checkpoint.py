"""Weights files and checkpoints: round trips, and one clear line for every damage."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sparsenet.errors import CheckpointError, MemoryLimitError
from training.checkpoint import ModelInfo, load_checkpoint, load_model, save_checkpoint, save_model
from training.models import build_model

INFO = ModelInfo("minixception-128", ("a", "b", "c"), 64, task="folder", seed=3, notes={"sparsity": "0.8"})


def test_weights_round_trip(tmp_path: Path) -> None:
    model = build_model("minixception-128", 3, seed=1)
    save_model(tmp_path / "m.safetensors", model, INFO)
    loaded, info = load_model(tmp_path / "m.safetensors")
    assert info == INFO
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def test_damaged_weights(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(CheckpointError, match="no such file"):
        load_model(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="damaged or no weights file"):
        load_model(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="holds no trained weights"):
        load_model(path)
    save_model(path, build_model("minixception-128-256", 3), INFO)
    with pytest.raises(CheckpointError, match="does not fit model 'minixception-128'"):
        load_model(path)
    save_model(path, build_model("minixception-128", 3), INFO)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(path)


def test_unwritable_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot write"):
        save_model(tmp_path / "missing" / "m.safetensors", build_model("minixception-128", 3), INFO)


def test_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"step": 3, "tensor": torch.arange(4), "nested": [{"a": 1.5}]})
    state = load_checkpoint(path)
    assert state["step"] == 3
    assert torch.equal(state["tensor"], torch.arange(4))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(tmp_path / "none")


def test_checkpoints_run_no_code(tmp_path: Path) -> None:
    """A pickled object is refused, not built."""
    path = tmp_path / "evil.ckpt"
    torch.save({"x": Path("/")}, path)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"class_names": ["c"] * 1_000_000}, "does not fit model"),
        ({"class_names": []}, "or no classes"),
        ({"class_names": [1, 2, 3]}, "wrong types"),
        ({"model": ["minixception-128"]}, "wrong types"),
        ({"mean": [0.5]}, "normalisation"),
        ({"std": [0.5, 0.5, 0]}, "normalisation"),
        ({"std": [0.5, 0.5, math.nan]}, "NaN is not JSON"),
        ({"input_size": 10**9}, "no possible size"),
        ({"input_size": "64"}, "wrong types"),
        ({"notes": [1]}, "damaged or no weights file"),
        ({"more": 1}, "damaged or no weights file"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_a_file_says_of_itself_is_checked(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "m.safetensors"
    info = json.dumps(asdict(INFO) | change)
    state = build_model("minixception-128", 3).state_dict()
    save_file(state, path, {"format": "sparsenet-weights", "info": info})
    with pytest.raises(CheckpointError, match=message):
        load_model(path)


@pytest.mark.parametrize("info", ["", "[]", "3", '{"model": 1, "model": 2}', "[" * 100_000])
def test_a_description_that_is_none(tmp_path: Path, info: str) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"x": torch.zeros(1)}, path, {"format": "sparsenet-weights", "info": info})
    with pytest.raises(CheckpointError, match="damaged or no weights file"):
        load_model(path)


def test_weights_that_are_no_regular_file_or_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_model(tmp_path / "pipe")
    path = tmp_path / "m.safetensors"
    save_model(path, build_model("minixception-128", 3), INFO)
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "1K")
    with pytest.raises(MemoryLimitError, match="more than the limit"):
        load_model(path)


def test_a_checkpoint_that_holds_no_state(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "x")
    with pytest.raises(CheckpointError, match="it holds a list"):
        load_checkpoint(tmp_path / "x")
