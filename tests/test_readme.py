"""The README's Python is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import sparsenet
from converters import from_torch
from training.models import MiniXception

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    module = MiniXception(widths=(8,)).eval()
    example = torch.randn(1, 3, 32, 32)
    sparsenet.save(from_torch(module, example), "model.safetensors")
    names: dict[str, Any] = {
        "module": module,
        "model": module,
        "example_inputs": example,
        "x": example.numpy(),
        "images": example,
        "labels": torch.tensor([1]),
    }
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, names)
    assert names["y"].shape == (1, 4)
    assert names["masks"].sparsity == pytest.approx(0.8, abs=0.01)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks.safetensors", "model.safetensors"]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^sparsenet ([\w-]+) .*", README, re.MULTILINE))))
def test_the_options_in_its_examples_exist(command: str) -> None:
    from importlib.metadata import entry_points

    (point,) = entry_points(group="sparsenet.commands", name=command)
    known = {option for parameter in point.load().params for option in parameter.opts}
    text = README.replace("\\\n", " ")
    lines = [line.partition("#")[0] for line in text.splitlines() if line.startswith(f"sparsenet {command} ")]
    used = {word for line in lines for word in re.findall(r"(?<=\s)--?[a-z-]+", line)}
    assert used <= known
