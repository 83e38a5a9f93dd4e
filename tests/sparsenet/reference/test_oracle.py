"""Running graphs with the oracle: the registry, the feeds, what is kept, and how NaN travels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.errors import InputError
from sparsenet.graph.ops import OPS
from tests.sparsenet.one_node import one_node_graph

F32 = np.float32


def chain() -> Graph:
    rng = np.random.default_rng(0)
    graph = Graph(
        "chain",
        [TensorInfo("x", (None, 3, 6, 5))],
        ["y"],
        [
            Node("conv2d", "conv", ["x", "w", "b"], ["c"], {"padding": [1, 1, 1, 1]}),
            Node("relu", "act", ["c"], ["r"]),
            Node("global_avg_pool2d", "pool", ["r"], ["p"]),
            Node("flatten", "flat", ["p"], ["y"]),
        ],
        {"w": rng.standard_normal((4, 3, 3, 3)).astype(F32), "b": rng.standard_normal(4).astype(F32)},
    )
    graph.verify()
    return graph


def batch(n: int = 2) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, 3, 6, 5)).astype(F32)


def test_every_op_of_the_table_has_a_reference() -> None:
    assert set(reference.OPERATIONS) == set(OPS)


def test_chain_equals_torch() -> None:
    graph, x = chain(), batch()
    y = reference.run(graph, {"x": x})["y"]
    w, b = (torch.tensor(graph.constants[n]) for n in "wb")
    expected = torch.conv2d(torch.tensor(x), w, b, padding=1).relu().mean(dim=(2, 3))
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-5, atol=1e-6)
    assert y.dtype == F32


def test_only_outputs_are_returned_unless_asked() -> None:
    graph, x = chain(), batch()
    assert set(reference.run(graph, {"x": x})) == {"y"}
    assert set(reference.run(graph, {"x": x}, keep=["c", "w"])) == {"y", "c", "w"}
    everything = reference.run(graph, {"x": x}, keep="all")
    assert set(everything) == {"x", "c", "r", "p", "y"}
    assert np.array_equal(everything["x"], x)
    assert np.array_equal(everything["r"], np.maximum(everything["c"], 0))


def test_float64_is_kept_between_nodes() -> None:
    graph = Graph(
        "cancel",
        [TensorInfo("x", (None, 1))],
        ["y"],
        [Node("add", "up", ["x", "big"], ["t"]), Node("sub", "down", ["t", "big"], ["y"])],
        {"big": np.array(1e8, F32)},
    )
    graph.verify()
    x = np.array([[0.3]], F32)
    assert reference.run(graph, {"x": x})["y"] == pytest.approx(x, rel=1e-6)  # float32 would give 0


def test_input_and_constant_may_be_outputs() -> None:
    graph = Graph("through", [TensorInfo("x", (None, 2))], ["x", "c"], [], {"c": np.ones(3, F32)})
    result = reference.run(graph, {"x": np.array([[1, 2]], F32)})
    assert result["x"].tolist() == [[1, 2]]
    assert result["c"].tolist() == [1, 1, 1]


def test_tensor_read_twice_by_one_node() -> None:
    graph = one_node_graph("mul", {"x": (1, 3)}, inputs=["x", "x"])
    assert reference.run(graph, {"x": np.array([[1, 2, 3]], F32)})["y"].tolist() == [[1, 4, 9]]


def test_empty_batch() -> None:
    assert reference.run(chain(), {"x": batch(0)})["y"].shape == (0, 4)


@pytest.mark.parametrize(
    "feeds, message",
    [
        ({}, "input 'x' is missing"),
        ({"x": batch(), "z": batch()}, "no input 'z'"),
        ({"x": batch()[:, :2]}, r"shape \(2, 2, 6, 5\)"),
        ({"x": batch()[0]}, "shape"),
        ({"x": batch().astype(np.int32)}, "dtype int32"),
    ],
)
def test_wrong_feeds_are_named(feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        reference.run(chain(), feeds)


def test_batches_must_agree() -> None:
    graph = one_node_graph("add", {"a": (1, 2), "b": (1, 2)})
    with pytest.raises(InputError, match="same batch: 'a' has 1, 'b' has 3"):
        reference.run(graph, {"a": np.zeros((1, 2), F32), "b": np.zeros((3, 2), F32)})


def test_epilogue_runs_in_order_and_reads_its_tensors() -> None:
    rng = np.random.default_rng(2)
    x, skip = rng.standard_normal((2, 3, 4, 4)).astype(F32), rng.standard_normal((2, 3, 4, 4)).astype(F32)
    weight = rng.standard_normal((3, 3, 1, 1)).astype(F32)
    scale, shift = rng.standard_normal(3).astype(F32), rng.standard_normal(3).astype(F32)
    graph = one_node_graph(
        "conv2d",
        {"x": x.shape, "skip": skip.shape},
        {"w": weight, "scale": scale, "shift": shift},
        {"epilogue": [["relu"], ["affine"], ["add"], ["leaky_relu", 0.1]]},
        inputs=["x", "w", "scale", "shift", "skip"],
    )
    y = torch.conv2d(torch.tensor(x), torch.tensor(weight)).relu()
    y = y * torch.tensor(scale)[:, None, None] + torch.tensor(shift)[:, None, None] + torch.tensor(skip)
    expected = torch.nn.functional.leaky_relu(y, 0.1)
    result = reference.run(graph, {"x": x, "skip": skip})["y"]
    np.testing.assert_allclose(result, expected.numpy(), rtol=1e-5, atol=1e-6)


NAN_ATTRS = {
    "max_pool2d": {"kernel": [2, 2], "stride": [2, 2]},
    "avg_pool2d": {"kernel": [2, 2], "stride": [2, 2]},
    "leaky_relu": {"slope": 0.1},
    "clip": {"min": 0.0, "max": 6.0},
    "resize": {"size": [8, 8], "mode": "bilinear"},
    "reshape": {"shape": [32]},
    "depth_to_space": {"block": [1, 2]},
    "space_to_depth": {"block": [2, 2]},
    "transpose": {"perm": [0, 2, 1, 3]},
    "pad": {"padding": [1, 1, 1, 1]},
    "elu": {"alpha": 1.0},
    "reduce": {"kind": "max", "axes": [1]},
    "argmax": {"axis": 1},
    "normalize": {"axis": 2},
    "slice": {"axis": 3, "start": 3, "count": 2, "step": -2},
    "gather": {"axis": 2, "indices": [2, 2]},
    "expand": {"shape": [2, 4, 4]},
    "top_k": {"axis": 3, "count": 2},
}
PER_CHANNEL = {"batch_norm": 4, "affine": 2}
TWO_OPERANDS = [op for op, schema in OPS.items() if schema.inputs == ("a", "b") and op != "matmul"]
#: What they say of NaN is a number: that it is the largest, or that nothing is true of it.
SAY_A_NUMBER = {"argmax", "top_k", "nonzero", "greater", "less", "equal"}
#: Their inputs are of different kinds; tests/sparsenet/engine/test_choose.py tries them.
CHOOSE = {"gather_elements", "gather_nd", "nms", "first", "fill"}


@pytest.mark.parametrize("op", sorted(OPS.keys() - CHOOSE))
def test_nan_in_is_nan_out_and_stays_in_its_image(op: str) -> None:
    x = np.abs(np.random.default_rng(3).standard_normal((2, 2, 4, 4)).astype(F32)) + 0.1
    x[1, 1, 2, 3] = np.nan
    constants: dict[str, np.ndarray] = {}
    inputs = None
    if op == "conv2d":
        constants = {"w": np.ones((2, 2, 3, 3), F32)}
    elif op == "linear":
        x = x.reshape(2, 32)
        constants = {"w": np.ones((3, 32), F32)}
    elif op in PER_CHANNEL:
        constants = {f"c{i}": np.ones(2, F32) for i in range(PER_CHANNEL[op])}
    elif op in TWO_OPERANDS:
        constants = {"b": np.ones((2, 1, 1), F32)}
    elif op == "matmul":
        constants = {"b": np.ones((4, 3), F32)}
    elif op == "where":
        constants, inputs = {"b": np.zeros((2, 1, 1), F32), "c": np.ones((1, 1), F32)}, ["c", "x", "b"]
    graph = one_node_graph(op, {"x": x.shape}, constants, NAN_ATTRS.get(op, {}), inputs)
    y = reference.run(graph, {"x": x})["y"]
    assert np.isfinite(y[0]).all()
    assert np.isnan(y[1]).any() != (op in SAY_A_NUMBER)


def test_infinity_travels_without_warning() -> None:
    graph = one_node_graph("sigmoid", {"x": (1, 2)})
    assert reference.run(graph, {"x": np.array([[np.inf, -np.inf]], F32)})["y"].tolist() == [[1, 0]]
