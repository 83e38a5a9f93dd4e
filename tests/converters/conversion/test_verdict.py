"""What ``verify`` passes and what it refuses: rounding is no fault, a fault is no rounding."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from converters import passes
from converters.conversion.verdict import largest_difference
from converters.onnx_import import OnnxSource
from converters.torch_import import TorchSource
from converters.verify import Source, VerifyReport, verify
from sparsenet.graph import Graph
from tests.converters.detectors import filtered, yolo

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

N = helper.make_node


def model(
    nodes, shape, opset: int = 17, out: int = TensorProto.FLOAT, kind: int = TensorProto.FLOAT, **weights
):
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", out, None)],
        [w if isinstance(w, TensorProto) else numpy_helper.from_array(np.asarray(w), n) for n, w in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def normal(*shape: int, seed: int = 0, dtype=np.float32) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(dtype)


def check(proto, change: Callable[[Graph], None] | None = None) -> VerifyReport:
    source = OnnxSource(proto)
    return checked(source, change)


def checked(source: Source, change: Callable[[Graph], None] | None = None) -> VerifyReport:
    full = passes.optimize(source.graph(), reduce=False)
    if change is not None:
        change(full)
    return verify(passes.reduce_channels(full), source, kept=passes.kept_channels(full))


def test_a_sigmoid_that_only_the_source_computes_badly() -> None:
    weight, bias = normal(4, 3, 1, 1), np.full(4, -15, np.float32)
    nodes = [N("Conv", ["x", "w", "b"], ["a"]), N("Sigmoid", ["a"], ["y"])]
    report = check(model(nodes, [1, 3, 16, 16], w=weight, b=bias))
    assert report.passed
    assert report.worst.max_rel > report.tolerance
    assert report.source_off == [report.worst.layer]

    def wrong(graph: Graph) -> None:
        name = next(name for _, name, _ in graph.weights())
        graph.constants[name] = graph.constants[name] * np.float32(1.01)

    assert not check(model(nodes, [1, 3, 16, 16], w=weight, b=bias), wrong).passed


class Cancels(nn.Module):
    """Of two large numbers only a small difference is left."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(8, 8, 3, padding=1)
        self.layer.weight.data[:, 4:] = -self.layer.weight.data[:, :4]

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.cat([1000 * x + 3, 1000 * x * (1 + 1e-7) + 3], 1)) * 1e-3


def test_what_is_left_of_large_numbers_may_be_off() -> None:
    torch.manual_seed(0)
    module = Cancels()
    module.layer.bias.data[:] = 0
    assert checked(TorchSource(module, torch.randn(1, 4, 9, 9))).passed


class Layers(nn.Module):
    """Layers whose outputs are all of the size ``scale``."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 32, 3, padding=1)
        self.deep = nn.Conv2d(32, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.head = nn.Linear(16, 4)
        self.wide.weight.data *= scale
        for layer in (self.wide, self.deep, self.depthwise, self.head):
            layer.bias.data *= scale

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.wide, self.deep, self.depthwise):
            x = nn.functional.leaky_relu(layer(x), 0.3)  # no channel is dead, where a fault would do nothing
        return self.head(x[:, :, 4, 4])


def one_weight(graph: Graph, layer: str) -> None:
    """0.1 % in one weight, the one nearest to their root mean square."""
    weight = graph.constants[layer].copy()
    place = np.abs(np.abs(weight) - np.sqrt((weight**2).mean())).argmin()
    weight.flat[place] *= 1.001
    graph.constants[layer] = weight


def swapped_channels(graph: Graph, layer: str) -> None:
    graph.constants[layer] = graph.constants[layer][[1, 0, *range(2, len(graph.constants[layer]))]]


def wrong_padding(graph: Graph, layer: str) -> None:
    node = next(node for node in graph.nodes if layer in node.inputs)
    node.attrs["padding"] = [2, 1, 0, 1]


FAULTS = [one_weight, swapped_channels, wrong_padding]


SCALES = [1e-6, 1e4]


@cache
def layers(scale: float) -> TorchSource:
    torch.manual_seed(0)
    return TorchSource(Layers(scale), torch.randn(2, 3, 10, 9))


@pytest.mark.parametrize("scale", SCALES)
def test_no_fault(scale: float) -> None:
    report = checked(layers(scale))
    assert report.passed
    assert report.source_off == []


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("layer", ["wide", "deep", "depthwise", "head"])
def test_planted_faults(layer: str, fault, scale: float) -> None:
    if layer == "head" and fault is wrong_padding:
        return
    report = checked(layers(scale), lambda graph: fault(graph, f"{layer}.weight"))
    assert not report.passed
    wrong = [error for error in report.layers if error.verdict == "wrong"]
    assert wrong[0].layer == layer


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_against_onnx(fault) -> None:
    nodes = [
        N("Conv", ["x", "v", "b"], ["a"], pads=[1] * 4),
        N("Relu", ["a"], ["r"]),
        N("Conv", ["r", "w"], ["y"], pads=[1] * 4),
    ]
    proto = model(nodes, ["N", 3, 9, 9], v=normal(16, 3, 3, 3), b=normal(16), w=normal(8, 16, 3, 3))
    assert check(proto).passed
    assert not check(proto, lambda graph: fault(graph, "w")).passed


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
@pytest.mark.parametrize("whole", [False, True], ids=["weights", "tensors"])
def test_half_precision(kind: int, whole: bool) -> None:
    """Weights in sixteen bits, cast to float32 before use; or everything in sixteen bits."""
    weights = {"v": normal(16, 3, 3, 3), "w": normal(8, 16, 3, 3)}
    halves = {
        n: helper.make_tensor(n if whole else f"{n}16", kind, a.shape, a.reshape(-1))
        for n, a in weights.items()
    }
    nodes = [
        N("Conv", ["x", "v"], ["a"], pads=[1] * 4),
        N("Relu", ["a"], ["r"]),
        N("Conv", ["r", "w"], ["y"], pads=[1] * 4),
    ]
    if not whole:
        nodes = [N("Cast", [f"{n}16"], [n], to=TensorProto.FLOAT) for n in weights] + nodes
    float_or_half = kind if whole else TensorProto.FLOAT
    proto = model(
        nodes, ["N", 3, 9, 9], out=float_or_half, kind=float_or_half, **{t.name: t for t in halves.values()}
    )
    report = check(proto)
    assert report.passed
    if kind == TensorProto.FLOAT16 and whole:
        assert report.worst.max_rel > 1e-4  # it is ONNX Runtime that rounds
    name = next(name for _, name, weight in OnnxSource(proto).graph().weights() if weight.shape[0] == 8)
    assert not check(proto, lambda graph: swapped_channels(graph, name)).passed


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_modules(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    module = Layers(1.0).to(kind)
    source = TorchSource(module, torch.randn(2, 3, 10, 9).to(kind))
    assert checked(source).passed
    assert not checked(source, lambda graph: one_weight(graph, "deep.weight")).passed


def test_numbers_per_sample_indices_and_infinities() -> None:
    numbers = [N("GlobalAveragePool", ["x"], ["a"]), N("Flatten", ["a"], ["f"])]
    one = [N("Gather", ["f", "i"], ["g"], axis=1), N("Relu", ["g"], ["y"])]
    assert check(model([*numbers, *one], ["N", 3, 8, 8], i=np.array(0))).passed
    index = [N("ArgMax", ["f"], ["y"], axis=1, keepdims=0)]
    report = check(model([*numbers, *index], ["N", 3, 8, 8], out=TensorProto.INT64))
    assert report.passed
    assert [e.channels for e in report.layers if e.tensor == "y"] == [(1, 1)] * 2
    infinite = [N("Relu", ["x"], ["r"]), N("Log", ["r"], ["y"])]
    assert check(model(infinite, ["N", 3, 8, 8])).passed


@pytest.mark.parametrize("detector", [filtered, yolo])
def test_as_many_numbers_as_the_data_decides(detector) -> None:
    source = OnnxSource(detector(), batch="fixed")
    graph = passes.optimize(source.graph())
    report = verify(graph, source)
    assert report.passed
    if detector is filtered:
        assert {error.tensor for error in report.layers} & graph.partial().keys()


def test_nan_in_one_place_is_wrong() -> None:
    proto = model([N("Relu", ["x"], ["r"]), N("Sqrt", ["r"], ["y"])], ["N", 3, 8, 8])
    source = OnnxSource(proto)

    def wrong(graph: Graph) -> None:
        node = next(n for n in graph.nodes if n.op == "relu")
        node.op = "identity"  # roots of negative numbers

    assert checked(source).passed
    report = checked(source, wrong)
    assert not report.passed
    assert np.isnan(report.worst.max_rel)


def test_differences() -> None:
    inf, nan = np.inf, np.nan
    assert largest_difference(np.array([1.0, inf]), np.array([2.0, inf])) == 1.0
    assert largest_difference(np.array([-inf]), np.array([inf])) == inf
    assert largest_difference(np.array([1.0]), np.array([1.0, 2.0])) == inf
    assert np.isnan(largest_difference(np.array([nan, 3.0]), np.array([4.0, 3.0])))
    assert largest_difference(np.array([nan, 3.0]), np.array([nan, 3.0])) == 0.0
    assert np.isnan(largest_difference(np.array([nan, nan]), np.array([nan, nan])))
    assert largest_difference(np.array([nan, nan]), np.array([nan, nan]), padded=True) == 0.0
