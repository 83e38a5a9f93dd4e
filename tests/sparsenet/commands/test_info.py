from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from sparsenet.cli import main
from sparsenet.graph import Graph, Node, TensorInfo
from sparsenet.io.model_file import save


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["info", *map(str, arguments)])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A convolution with 10 of 108 weights, used twice, and a linear layer without zeros."""
    kernel = np.zeros((4, 3, 3, 3), np.float32)
    kernel.reshape(-1)[:10] = np.arange(1, 11)
    graph = Graph(
        "small",
        [TensorInfo("left", (None, 3, 8, 8)), TensorInfo("right", (None, 3, 8, 8))],
        ["y"],
        [
            Node("conv2d", "first", ["left", "kernel"], ["a"], {"epilogue": [["relu"]]}),
            Node("conv2d", "second", ["right", "kernel", "", "a"], ["b"], {"epilogue": [["add"]]}),
            Node("global_avg_pool2d", "pool", ["b"], ["c"]),
            Node("flatten", "flat", ["c"], ["d"]),
            Node("linear", "head", ["d", "matrix", "bias"], ["y"]),
        ],
        {"kernel": kernel, "matrix": np.ones((2, 4), np.float32), "bias": np.ones(2, np.float32)},
        {"classes": "cat,dog"},
    )
    path = tmp_path / "small.safetensors"
    save(graph, path)
    return path


def test_json_counts_weights_zeros_and_work(model: Path) -> None:
    summary = json.loads(invoke(model, "--json").stdout)
    assert summary["name"] == "small"
    assert summary["inputs"][1] == {"name": "right", "shape": [None, 3, 8, 8], "dtype": "float32"}
    assert summary["outputs"] == [{"name": "y", "shape": [None, 2], "dtype": "float32"}]
    first, second, pool, _, head = summary["layers"]
    assert first["op"] == "conv2d+relu"
    assert (first["weights"], first["nnz"]) == (108, 10)
    assert first["sparsity"] == pytest.approx(98 / 108)
    assert (first["quads_kept"], head["quads_kept"], pool["quads_kept"]) == (9 / 36, 1, None)
    assert (first["macs"], first["nonzero_macs"]) == (108 * 36, 10 * 36)
    assert first["stored_as"] == "bitmask f32"
    assert first["bytes"] == 10 * 4 + 14
    assert (head["weights"], head["nnz"], head["bytes"]) == (8, 8, 40)
    assert (pool["weights"], pool["bytes"]) == (None, None)
    assert second["stored_as"] == "shared"
    assert summary["total"]["constant_bytes"] == 54 + 40
    assert summary["total"]["file_bytes"] == model.stat().st_size


def test_text_aligns_the_same_numbers(model: Path) -> None:
    result = invoke(model)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "classes cat,dog" in lines
    header = next(line for line in lines if line.startswith("layer "))
    first = next(line for line in lines if line.startswith("first "))
    assert first[: header.index("nnz") + 3].endswith(" 10")
    assert f"{model.stat().st_size:,} bytes on disk, 94 of them numbers" in lines


@pytest.mark.parametrize(
    "content, message", [(None, "no such file"), (b"nothing", "is truncated or not a safetensors file")]
)
def test_a_bad_file_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "bad.safetensors"
    if content is not None:
        path.write_bytes(content)
    result = invoke(path)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {path}: {message}")


@pytest.mark.parametrize(
    "step, shown", [(1, "float32  open: 2, 3\n"), (4, "float32  open: 2, 3 in steps of 4\n")]
)
def test_open_sizes_are_named(tmp_path: Path, step: int, shown: str) -> None:
    info = TensorInfo("x", (None, 3, 8, 8), open=(2, 3), step=step)
    save(Graph("open", [info], ["y"], [Node("relu", "r", ["x"], ["y"])]), tmp_path / "m.safetensors")
    assert shown in invoke(tmp_path / "m.safetensors").stdout
    (described,) = json.loads(invoke(tmp_path / "m.safetensors", "--json").stdout)["inputs"]
    assert (described["open"], described["step"]) == ([2, 3], step)
