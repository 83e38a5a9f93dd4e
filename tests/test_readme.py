"""README and docs: their Python is run as it stands there, their commands exist, what they repeat agrees."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import sparsenet
from bench.speed_table.figures import figures
from bench.speed_table.picture import demo, draw
from converters import from_torch
from training.models import MiniXception

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
}
WITH_PYTHON = {name for name, text in PAGES.items() if "```python" in text}
#: What stands before the command in lines of workflows, and in those of torchrun.
FRAME = r"^ *- run: (test [^|]*\|\| )?|^torchrun .* -m (?=sparsenet)"
#: Shell lines of all pages, those of workflows and of torchrun too, continued ones joined, comments cut off.
SHELL = [
    re.sub(FRAME, "", line.partition(" #")[0]).partition(" || ")[0]
    for text in PAGES.values()
    for block in re.findall(r"```(?:sh|yaml)\n(.*?)```", text, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


def test_the_pages_that_show_python_are_these() -> None:
    pages = [
        "README.md", "docs/code_in_an_hour.md", "docs/extending.md", "docs/from_deepsparse.md",
        "docs/importing.md", "docs/pruning.md", "docs/quantization.md", "docs/research.md",
    ]  # fmt: skip
    assert sorted(WITH_PYTHON) == pages


def network(op: str, shape: Sequence[int | str]) -> onnx.ModelProto:
    """A network of one operator over "input", as the examples name it; what it has of weights is random."""
    infos = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("input", "y")
    ]
    weight = onnx.numpy_helper.from_array(
        np.random.default_rng(0).standard_normal((8, 3, 3, 3), np.float32), "w"
    )
    node = onnx.helper.make_node(op, ["input", *(["w"] if op == "Conv" else [])], ["y"])
    graph = onnx.helper.make_graph([node], op, infos[:1], infos[1:], [weight] if op == "Conv" else [])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("page", sorted(WITH_PYTHON))
def test_the_python_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    module = MiniXception(widths=(8,)).eval()
    example = torch.randn(1, 3, 32, 32)
    sparsenet.save(from_torch(module, example), "model.safetensors")
    for name, shape in {
        "detector": ("N", 3, "H", "W"),
        "sounds": ("N", 1, "T"),
        "network": ("N", 3, "H", "W"),
        "model": ("N", 3, 32, 32),
    }.items():
        onnx.save(network("Conv" if name == "model" else "Relu", shape), f"{name}.onnx")
    names: dict[str, Any] = {
        "module": module,
        "model": module,
        "example_inputs": example,
        "images": example,
        "labels": torch.tensor([1]),
        "batches": [example.numpy()],
    }
    for block in re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL):
        exec(block, names)
    if page in ("README.md", "docs/importing.md"):
        assert names["engine"](example.numpy()).shape == (1, 4)
    if page == "docs/pruning.md":
        assert names["masks"].sparsity == pytest.approx(0.8, abs=0.01)
        assert (tmp_path / "masks.safetensors").is_file()


@pytest.mark.parametrize(
    "command", sorted({line.split()[1] for line in SHELL if line.startswith("sparsenet ")})
)
def test_the_options_in_the_examples_exist(command: str) -> None:
    (point,) = importlib.metadata.entry_points(group="sparsenet.commands", name=command)
    known = {option for parameter in point.load().params for option in parameter.opts}
    lines = [line.partition(" -- ")[0] for line in SHELL if line.startswith(f"sparsenet {command} ")]
    used = {word for line in lines for word in re.findall(r"(?<=\s)--?[a-z][a-z0-9-]*", line)}
    assert used <= known


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", "\n".join(PAGES.values())))))
def test_the_programs_that_are_named_exist(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


def test_the_speed_in_the_readme_is_that_of_its_page() -> None:
    names = {
        "one thread, batch 1, fp32": "times as fast as (8 networks)",
        "its own dense kernels": "ours, dense",
        "ONNX Runtime 1.31": "ONNX Runtime",
        "OpenVINO 2026.4": "OpenVINO",
        "DeepSparse 1.8": "DeepSparse",
        "PyTorch 2.13, eager": "PyTorch eager",
    }
    repeated = table_after("faster:\n\n", PAGES["README.md"])
    measured = table_after("**one thread**\n\n", PAGES["docs/speed.md"])
    assert repeated.keys() == names.keys()
    assert repeated == {name: measured[label] for name, label in names.items()}


def test_the_picture_in_the_readme_is_that_of_its_page() -> None:
    drawn = draw(figures(PAGES["docs/speed.md"]))
    assert drawn == (ROOT / "docs" / "zeros_and_bits.svg").read_text()
    gains = re.findall(r"([\d.]+)×", drawn)
    assert f"takes {min(gains)} to {max(gains)} times less" in PAGES["README.md"]


def test_the_picture_of_the_demo_is_that_of_its_page() -> None:
    found = demo.figures(PAGES["docs/results.md"])
    assert [len(engines) for engines in found.values()] == [2, 3]
    assert demo.draw(found) == (ROOT / "docs" / "speed.svg").read_text()


def table_after(mark: str, text: str) -> dict[str, str]:
    """First cell → the others, of the table that begins at ``mark``, without the line of dashes."""
    table = text.partition(mark)[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| ([^-|][^|]*) \| (.+) \|$", table, re.MULTILINE))
