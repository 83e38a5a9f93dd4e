"""Networks that their source has quantized: compared layer by layer in steps, each with the source's inputs."""

from __future__ import annotations

import numpy as np
import onnx

from converters import passes
from converters.conversion.command import error_table
from converters.onnx_import import OnnxSource
from converters.verify import VerificationError, VerifyReport, verify
from sparsenet.graph import Graph
from sparsenet.graph.quantization import Quantization
from tests.converters.onnx.models import model, node, weights

GRIDS = {"x": 0.03, "a": 0.06, "b": 0.05, "c": 0.1, "g": 0.03, "y": 0.05}


def rounded(name: str) -> list[onnx.NodeProto]:
    return [
        node("QuantizeLinear", f"{name} {name}.s z", f"{name}.q"),
        node("DequantizeLinear", f"{name}.q {name}.s z", f"{name}.d"),
    ]


def network(**grids: float) -> OnnxSource:
    """Two convolutions, a residual sum, a mean and a fully connected layer, with a rounding behind each."""
    nodes = [
        *rounded("x"),
        node("DequantizeLinear", "w.q w.s", "w", axis=0),
        node("Conv", "x.d w", "a", pads=[1, 1, 1, 1]),
        *rounded("a"),
        node("DequantizeLinear", "w2.q w.s", "w2", axis=0),
        node("Conv", "a.d w2", "b", pads=[1, 1, 1, 1]),
        *rounded("b"),
        node("Add", "b.d a.d", "c"),
        *rounded("c"),
        node("GlobalAveragePool", "c.d", "m"),
        node("Flatten", "m", "g"),
        *rounded("g"),
        node("DequantizeLinear", "v.q w.s", "v", axis=0),
        node("Gemm", "g.d v", "p", transB=1),
        node("QuantizeLinear", "p y.s z", "p.q"),
        node("DequantizeLinear", "p.q y.s z", "y"),
    ]
    constants = {f"{name}.s": np.float32(scale) for name, scale in (GRIDS | grids).items()}
    integers = {
        "w2.q": np.rint(30 * weights(4, 4, 3, 3)).clip(-127, 127).astype(np.int8),
        "w.q": np.rint(40 * weights(4, 4, 3, 3)).clip(-127, 127).astype(np.int8),
        "v.q": np.rint(40 * weights(4, 4)).clip(-127, 127).astype(np.int8),
    }
    scales = {"w.s": np.float32([0.004, 0.005, 0.003, 0.004]), "z": np.uint8(128)}
    return OnnxSource(model(nodes, constants | integers | scales))


def checked(source: OnnxSource, graph: Graph | None = None, batch: int = 3) -> VerifyReport:
    x = np.random.default_rng(1).standard_normal((batch, 4, 7, 9)).astype(np.float32)
    return verify(graph or source.converted(passes.optimize), source, {"x": x})


def test_every_layer_is_within_rounding_of_the_sources_bytes() -> None:
    report = checked(network())
    assert report.passed
    steps = {
        e.tensor: (e.steps, e.allowed / (e.step or np.nan)) for e in report.layers if e.backend == "engine"
    }
    assert len(steps) == 5
    assert all(found in (0, 1) for found, _ in steps.values())
    assert sorted(round(most) for _, most in steps.values()) == [
        1,
        1,
        1,
        1,
        2,
    ]  # one sum has joined its layer
    (whole,) = report.agreements
    assert (whole.samples, whole.exact, whole.step) == (3, True, np.float32(GRIDS["y"]))
    assert whole.same_top is not None
    assert "0 of 1" in error_table(report)


def test_a_wrong_weight_is_found_where_it_is_and_nowhere_else() -> None:
    source = network()
    graph = source.converted(passes.optimize)
    first = graph.nodes[0]
    name = first.inputs[1]
    graph.constants[name] = np.roll(graph.constants[name], 1, axis=3)
    report = checked(source, graph)
    assert {e.layer for e in report.layers if e.verdict == "wrong"} == {first.name}
    assert f"at layer '{first.name}' (conv2d+clip), the first that does" in str(
        VerificationError("net", report)
    )


def test_a_grid_that_is_too_coarse_is_found_where_it_is() -> None:
    source = network()
    graph = source.converted(passes.optimize)
    first = graph.nodes[0]
    graph.quantization[first.output] = Quantization.of_activations(GRIDS["a"] * 8, 128)
    report = checked(source, graph)
    assert report.first_wrong is not None
    assert report.first_wrong.layer == first.name


def test_where_the_source_limits_a_tensor_that_a_sum_has_taken_in_nothing_is_compared() -> None:
    """``b`` is at the ends of its grid nearly everywhere; the layer that now adds to it has no such grid."""
    report = checked(network(b=0.001))
    assert report.passed
    assert all((e.steps or 0) <= 1 for e in report.layers)


def test_tensors_that_the_source_has_as_bytes_alone() -> None:
    """Operators on bytes, signed ones, in a row: what is between them has no other name, or the very same."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QLinearConv", "q s z w t u s z", "c", pads=[1, 1, 1, 1]),
        node("QLinearConv", "c s z w t u s z", "d", pads=[1, 1, 1, 1]),
        node("MaxPool", "d", "m", kernel_shape=[2, 2]),
        node("DequantizeLinear", "m s z", "y"),
    ]
    constants = {"s": np.float32(0.05), "z": np.int8(-3), "t": np.float32(0.004), "u": np.int8(0)}
    weight = np.rint(40 * weights(4, 4, 3, 3)).clip(-127, 127).astype(np.int8)
    source = OnnxSource(model(nodes, constants | {"w": weight}))
    graph = source.converted(passes.optimize)
    report = checked(source, graph)
    assert report.passed
    assert [e.steps is not None for e in report.layers] == [True] * 6
    first = graph.nodes[0]
    graph.constants["other"] = np.roll(graph.constants[first.inputs[1]], 1, axis=3)
    graph.quantization["other"] = graph.quantization[first.inputs[1]]
    first.inputs[1] = "other"
    assert {e.layer for e in checked(source, graph).layers if e.verdict == "wrong"} == {first.name}
