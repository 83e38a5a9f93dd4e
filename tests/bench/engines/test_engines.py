"""Every engine gives the same answers, times what it was asked, and says so when it is not there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import tests.sparsenet.targets.cuda.simulator  # noqa: F401 - before any CUDA kernel is imported
from bench.engines import ENGINES, EngineMissing, Network, session_clock
from bench.engines.deepsparse import PYTHON_VARIABLE
from bench.engines.onnx_quantizer import saturates
from bench.engines.pytorch import OPERATIONS
from bench.measure.agreement import check_rounded
from bench.subjects.sparsity import sparsify
from converters import from_onnx
from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.errors import InputError, SparsenetError
from sparsenet.graph.ops import OPS
from tests.sparsenet.one_node import one_node_graph
from tests.sparsenet.sample_graphs import tiny_graph

# Behaves as DeepSparse does, prints included, and computes with ONNX Runtime.
STAND_IN = """
__version__ = "stand-in"
print("a banner that must not land among the answers")

class compile_model:
    def __init__(self, path, batch_size, num_cores):
        import onnxruntime
        if num_cores > 7:
            raise ValueError("too many cores")
        self.session = onnxruntime.InferenceSession(path)

    def run(self, feeds):
        if feeds[0][0, 0, 0, 0] == -1000:
            raise SystemExit(3)
        return self.session.run(None, {self.session.get_inputs()[0].name: feeds[0]})
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that finds the stand-in for DeepSparse."""
    (tmp_path / "deepsparse.py").write_text(STAND_IN)
    start = f"import sys; sys.argv.pop(0); sys.path.insert(0, {str(tmp_path)!r}); import runpy; "
    start += "runpy.run_path(sys.argv[0], run_name='__main__')"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift\nexec "{sys.executable}" -I -c "{start}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(python))


def check(name: str, batch: int) -> None:
    network = Network(tiny_graph(), batch)
    x = network.example(1)
    try:
        session = ENGINES[name].prepare(network, 1)
    except EngineMissing as missing:
        if name not in {"openvino-bf16", "openvino-nncf"}:
            raise
        pytest.skip(str(missing))
    values = reference.run(network.graph, {"image": x})
    got, expected = session(x), [values[output] for output in network.graph.outputs]
    if ENGINES[name].precision == "f32":
        for y, exact in zip(got, expected, strict=True):
            np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-4)
    else:
        check_rounded(name, ENGINES[name].precision, [got], [expected], "tiny")
    sample = session.turn(session_clock([name], 1))
    assert sample.seconds > 0
    assert sample.wall > 0
    session.close()
    network.close()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", sorted(set(ENGINES) - {"deepsparse", "deepsparse-int8"}))
def test_answers_are_the_reference(name: str, batch: int) -> None:
    check(name, batch)


@pytest.mark.parametrize("name, batch", [("deepsparse", 1), ("deepsparse", 3), ("deepsparse-int8", 3)])
@pytest.mark.usefixtures("stand_in")
def test_the_worker_process(name: str, batch: int) -> None:
    check(name, batch)


@pytest.mark.parametrize("name", ["deepsparse", "deepsparse-int8"])
def test_deepsparse_itself(name: str) -> None:
    if PYTHON_VARIABLE not in os.environ:
        pytest.skip(f"{PYTHON_VARIABLE} names no interpreter with deepsparse")
    check(name, 1)


@pytest.mark.usefixtures("stand_in")
def test_a_refusal_is_told() -> None:
    network = Network(tiny_graph())
    with pytest.raises(SparsenetError, match="DeepSparse: ValueError: too many cores"):
        ENGINES["deepsparse"].prepare(network, 8)
    network.close()


@pytest.mark.usefixtures("stand_in")
def test_a_worker_that_dies_is_told() -> None:
    network = Network(tiny_graph())
    session = ENGINES["deepsparse"].prepare(network, 1)
    with pytest.raises(SparsenetError, match="ended with exit code 3"):
        session(np.full((1, 3, 8, 8), -1000, np.float32))
    session.close()
    network.close()


@pytest.mark.parametrize(
    "python, note", [("/nowhere/python", "cannot be started"), (sys.executable, "is not installed")]
)
def test_a_missing_engine_leaves_a_note(python: str, note: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, python)
    network = Network(tiny_graph())
    with pytest.raises(EngineMissing, match=note):
        ENGINES["deepsparse"].prepare(network, 1)
    network.close()


def test_onnx_files_are_written_once_and_deleted() -> None:
    network = Network(tiny_graph())
    path = network.onnx_path("mul_add")
    written = path.stat().st_mtime_ns
    assert network.onnx_path("mul_add").stat().st_mtime_ns == written
    assert network.onnx_path("batch_norm") != path
    network.close()
    assert not path.exists()


def test_zeros_of_a_quantized_file_are_those_of_the_network() -> None:
    rng = np.random.default_rng(0)
    weights = {"conv.weight": (6, 10, 3, 3), "fc.weight": (5, 6)}
    graph = sparsify(
        Graph(
            "two",
            [TensorInfo("x", (None, 10, 8, 8))],
            ["y"],
            [
                Node("relu", "first", ["x"], ["r"]),
                Node("conv2d", "conv", ["r", "conv.weight"], ["c"]),
                Node("global_avg_pool2d", "pool", ["c"], ["p"]),
                Node("flatten", "flat", ["p"], ["f"]),
                Node("linear", "fc", ["f", "fc.weight", "fc.bias"], ["y"]),
            ],
            {name: rng.standard_normal(shape, np.float32) for name, shape in weights.items()}
            | {"fc.bias": np.zeros(5, np.float32)},
        ),
        0.5,
        "1x4",
    )
    network = Network(graph)
    path = network.int8_path("qdq", "batch_norm")
    assert path == network.int8_path("qdq", "mul_add")  # no scale and shift in it: one file for everyone
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in onnx.load(path).graph.initializer}
    network.close()
    for name in weights:
        stored, scale = constants[f"{name}_quantized"], constants[f"{name}_scale"]
        assert stored.dtype == np.int8
        assert scale.shape == stored.shape[:1]
        assert not constants[f"{name}_zero_point"].any()
        assert not stored[graph.constants[name] == 0].any()
        assert np.count_nonzero(stored) > 0.9 * np.count_nonzero(graph.constants[name])
    assert all(
        c.dtype == np.uint8 for name, c in constants.items() if name in {"x_zero_point", "c_zero_point"}
    )


def test_a_quantized_file_of_the_user_is_what_int8_engines_read(tmp_path: Path) -> None:
    made = Network(tiny_graph())
    fixed, open_batch = tmp_path / "fixed.onnx", tmp_path / "open.onnx"
    model = onnx.load(made.int8_path("qdq", "batch_norm"))
    made.close()
    onnx.save(model, fixed)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(model, open_batch)
    graph = from_onnx(fixed)
    assert graph.quantization
    network = Network(graph, 1, fixed)
    assert network.int8_path("qdq", "batch_norm") == network.int8_path("qoperator", "mul_add") == fixed
    assert not network.graph.quantization
    network.close()
    network = Network(graph, 2, fixed)
    with pytest.raises(InputError, match=r"quantized for an input of \[1, 3, 8, 8\], not of \[2, 3, 8, 8\]"):
        network.int8_path("qdq", "mul_add")
    network.close()
    network = Network(graph, 2, open_batch)
    x = network.example(1)
    values = reference.run(network.graph, {"image": x})
    expected = [values[output] for output in graph.outputs]
    for name in ("ours-int8", "ort-int8", "openvino-int8"):
        session = ENGINES[name].prepare(network, 1)
        check_rounded(name, "int8", [session(x)], [expected], "tiny")
        session.close()
    network.close()


def test_weights_have_seven_bits_where_pairs_are_added_in_sixteen() -> None:
    assert saturates({"ssse3", "avx2", "avx512f"})
    assert not saturates({"ssse3", "avx2", "avxvnni"})
    assert not saturates({"ssse3", "avx512f", "avx512vnni"})
    assert not saturates({"neon"})


def test_what_pytorch_has_is_in_the_table() -> None:
    assert set(OPERATIONS) <= set(OPS)


@pytest.mark.parametrize("engine", ["torch", "ort"])
def test_an_engine_that_cannot_have_a_network_is_left_out_with_a_note(engine: str) -> None:
    graph = Graph(
        "g",
        [TensorInfo("x", (None, 4))],
        ["places"],
        [Node("nonzero", "chooser", ["x"], ["places"])],
    )
    network = Network(graph)
    with pytest.raises(EngineMissing, match="nonzero"):
        ENGINES[engine].prepare(network, 1)
    network.close()


@pytest.mark.parametrize(
    "op, attrs",
    [
        ("max_pool2d", {"kernel": [3, 3], "stride": [2, 2], "padding": [0, 0, 1, 1]}),
        ("avg_pool2d", {"kernel": [2, 2], "stride": [2, 2], "padding": [1, 1, 1, 1], "ceil_mode": True}),
        ("resize", {"size": [16, 18], "mode": "nearest"}),
        ("resize", {"size": [5, 11], "mode": "bilinear", "coordinates": "align_corners"}),
        ("pad", {"padding": [1, 0, 2, 3], "value": 0.5}),
        ("clip", {"min": -0.5, "max": 0.5}),
        ("hard_swish", {}),
        ("transpose", {"perm": [0, 2, 3, 1]}),
        ("reshape", {"shape": [6, -1]}),
        ("depth_to_space", {"block": [3, 1]}),
        ("depth_to_space", {"block": [1, 3], "depth_first": True}),
        ("space_to_depth", {"block": [4, 3]}),
        ("space_to_depth", {"block": [2, 3], "depth_first": True}),
        ("space_to_depth", {"block": [1, 1]}),
        ("softmax", {"axis": 2}),
        ("dropout", {}),
    ],
)
def test_pytorch_computes_the_op(op: str, attrs: dict) -> None:
    graph = one_node_graph(op, {"x": (2, 3, 8, 9)}, attrs=attrs)
    network = Network(graph, 2)
    x = network.example()
    np.testing.assert_allclose(
        ENGINES["torch"].prepare(network, 1)(x)[0], reference.run(graph, {"x": x})["y"], rtol=1e-4, atol=1e-5
    )
