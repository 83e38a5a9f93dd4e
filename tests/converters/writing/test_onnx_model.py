"""Weights written back into an ONNX model: onnxruntime makes of the file what the engine makes of the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from converters import from_onnx, write_onnx
from converters.passes.optimize import optimize
from converters.pruning.layers import prepared
from converters.writing.onnx_model import OnnxTarget
from sparsenet import reference
from sparsenet.errors import InputError
from sparsenet.graph import Graph
from tests.converters.writing.networks import NETWORKS, changed, model

#: Layers that cannot be written: a transposed convolution with a stride has one bias, and its graph one for each phase.
DENSE = {"transposed": {"ConvTranspose3.phases"}}


def run(path: Path | bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path)
    return np.asarray(session.run(None, {"images": x})[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_computes_what_the_graph_does(name: str, tmp_path: Path) -> None:
    given = model(name)
    graph = from_onnx(given, optimize=False)
    target = OnnxTarget(given, graph.inputs)
    dense = {layer.name for layer in prepared(graph, ())[1] if not target.takes(layer.name)}
    assert dense == DENSE.get(name, set())
    pruned = changed(graph, dense)
    x = np.random.default_rng(0).standard_normal((1, 3, 12, 12)).astype(np.float32)
    wanted = reference.run(pruned, {"images": x})["y"]
    assert np.abs(run(given.SerializeToString(), x) - wanted).max() > 0.1 * np.abs(wanted).max()
    sizes = []
    for sparse in (False, True):
        path = tmp_path / f"{sparse}.onnx"
        write_onnx(pruned, given, path, sparse)
        sizes.append(path.stat().st_size)
        onnx.checker.check_model(path)
        assert np.abs(run(path, x) - wanted).max() < 1e-5 * np.abs(wanted).max()
        written = onnx.load(path)
        assert bool(written.graph.sparse_initializer) is sparse
        assert (written.graph.input, written.graph.output) == (given.graph.input, given.graph.output)
        names = [node.name for node in written.graph.node]
        assert [name for name in names if not name.endswith(".bias")] == [n.name for n in given.graph.node]
        assert zeros(optimize(from_onnx(path, optimize=False), reduce=False)) == zeros(pruned)
    assert sizes[1] < sizes[0]


def zeros(graph: Graph) -> dict[str, int]:
    return {node.name: int((weight == 0).sum()) for node, _, weight in graph.weights()}


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_constants_keep_their_types(kind: int, tmp_path: Path) -> None:
    given = model("plain")
    for tensor in given.graph.initializer:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))
    pruned = changed(from_onnx(given, optimize=False))
    write_onnx(pruned, given, tmp_path / "pruned.onnx")
    written = onnx.load(tmp_path / "pruned.onnx")
    assert {tensor.data_type for tensor in written.graph.initializer} == {kind}
    x = np.random.default_rng(0).standard_normal((1, 3, 12, 12)).astype(np.float32)
    wanted = reference.run(pruned, {"images": x})["y"]
    got = reference.run(from_onnx(written), {"images": x})["y"]
    assert np.abs(got - wanted).max() < 0.01 * np.abs(wanted).max()


def test_a_layer_that_shares_its_weight_and_stays_shares_it_on(tmp_path: Path) -> None:
    given = model("shared")
    graph = from_onnx(given, optimize=False)
    write_onnx(changed(graph, {"Conv2", "Conv6"}), given, tmp_path / "pruned.onnx")
    nodes = {node.name: node for node in onnx.load(tmp_path / "pruned.onnx").graph.node}
    before = {node.name: node for node in given.graph.node}
    assert nodes["Conv2"] == before["Conv2"]
    assert nodes["Conv6"] == before["Conv6"]


@pytest.mark.parametrize(
    "name, other, reduce, words",
    [
        ("transposed", "transposed", False, "'ConvTranspose3.phases' has changed, and cannot be written back"),
        ("plain", "plain", True, "they differ in 'Conv0'; prune what it becomes with optimize=False"),
        ("plain", "depthwise", False, "is not what 'detector' becomes when it is converted"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(
    name: str, other: str, reduce: bool, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        write_onnx(changed(from_onnx(model(other), optimize=reduce)), model(name), tmp_path / "pruned.onnx")
    assert words in str(error.value)
    assert not list(tmp_path.iterdir())
