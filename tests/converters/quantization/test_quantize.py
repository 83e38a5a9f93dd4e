"""Quantized networks: near their float32 ones, with grids that fit, and the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import converters
from converters.quantization import observe
from converters.quantization.quantize import quantize
from sparsenet import Engine, reference
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.types import I8
from sparsenet.io.model_file import deserialize, serialize
from tests.converters.passes.networks import Net
from tests.converters.quantization.networks import images, mixed
from tests.sparsenet.sample_graphs import assert_same_graph

ONE: dict[str, Any] = {"threads": 1}


def _errors(graph: Graph, quantized: Graph, x: FloatArray) -> dict[str, FloatArray]:
    """Of each tensor that both have, what integers add to it, by the exact oracle."""
    exact, got = (reference.run(g, {"x": x}, keep="all") for g in (graph, quantized))
    return {name: got[name] - exact[name] for name in exact if name in got and name != "x"}


@pytest.mark.parametrize("options", [
    {}, {"method": "percentile"}, {"method": "mse", "weights": "mse"}, {"per_channel": False},
    {"skip": ("first", "last")},
])  # fmt: skip
def test_every_layer_stays_near_float32(options: dict[str, Any]) -> None:
    graph = mixed()
    quantized = quantize(graph, images(), **options, **ONE)
    x = images(4, seed=5)[0]
    exact = reference.run(graph, {"x": x}, keep="all")
    for name, error in _errors(graph, quantized, x).items():
        assert np.square(error).sum() < 10**-2.5 * np.square(exact[name]).sum(), name
    assert len(integer_nodes(quantized, quantized.shapes())) >= 12


def test_zeros_stay_and_weights_lie_on_their_grid() -> None:
    graph = mixed()
    weight = graph.constants["block.weight"]
    weight[np.abs(weight) < 0.1] = 0
    quantized = quantize(graph, images(), weights="mse", **ONE)
    grids = {name: grid for name, grid in quantized.quantization.items() if grid.element is I8}
    assert len(grids) == 8
    for name, grid in grids.items():
        integers = grid.round(quantized.constants[name])
        assert np.array_equal(grid.numbers(integers), quantized.constants[name])
        assert np.abs(integers.astype(int)).max() <= 127
    assert (quantized.constants["block.weight"][weight == 0] == 0).all()
    assert (graph.constants["block.weight"] == weight).all(), "the float32 network is left alone"
    assert not graph.quantization


def test_tensors_that_only_move_numbers_share_a_grid() -> None:
    quantized = quantize(mixed(), images(), method="mse", **ONE)
    joined = [quantized.quantization[f"{name}.y"] for name in ("stem", "sum", "pool", "pool2", "join")]
    assert all(grid.same_grid(joined[0]) for grid in joined)
    assert all(
        grid.numbers([grid.zero_point]) == 0
        for grid in quantized.quantization.values()
        if grid.element is not I8
    )


def test_an_activation_does_not_decide_for_others() -> None:
    """The range that suits ``silu`` is for a tensor that it alone reads, not for one that shares the grid."""
    net = Net((4, 8, 8))
    x = net.conv("x", 4, 1, name="a")
    pooled = net.op("max_pool2d", x, kernel=[2, 2], stride=[2, 2])
    graph = net.graph(net.conv(x, 4, 1, name="b"), net.conv(net.op("silu", pooled), 4, 1, name="c"))
    data = np.random.default_rng(0).standard_normal((4, 4, 8, 8), np.float32)
    quantized = quantize(graph, data, **ONE)
    exact = reference.run(graph, {"x": data}, keep="all")["a.y"]
    grid = quantized.quantization["a.y"]
    assert grid.same_grid(quantized.quantization[pooled])
    assert float(grid.scale) * 255 == pytest.approx(exact.max() - exact.min(), rel=1e-3)


def test_the_engine_agrees_to_the_bit() -> None:
    net = Net((3, 16, 16), seed=3)
    x = net.conv("x", 8, 3, name="stem", stride=[2, 2], epilogue=[["relu"]])
    graph = net.graph(net.head(net.op("silu", net.conv(x, 8, 3, name="block"))))
    quantized = quantize(graph, images(), **ONE)
    x = images(4, seed=9)[0]
    (name,) = quantized.outputs
    assert np.array_equal(Engine(quantized, 1)(x), reference.run(quantized, {"x": x})[name])


def test_biases_make_up_for_rounded_weights() -> None:
    graph, x = mixed(), images(8, seed=2)
    shifts = []
    for correct in (True, False):
        quantized = quantize(graph, x, bias_correction=correct, **ONE)
        errors = _errors(graph, quantized, np.concatenate(x))
        shifts.append(np.abs(errors["late.y"].mean(axis=(0, 2, 3))).mean())
    assert shifts[0] < 0.7 * shifts[1]


def test_the_same_however_the_data_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, x = mixed(), images()
    expected = quantize(graph, x, method="percentile", bias_correction=False, **ONE)
    assert serialize(
        quantize(mixed(), iter(images()), method="percentile", bias_correction=False, **ONE)
    ) == serialize(expected)
    done: list[int] = []
    monkeypatch.setattr(observe, "MOST_BYTES", 20_000)  # several groups, one sample at a time
    one = {"x": np.concatenate(x)}
    again = quantize(graph, one, method="percentile", bias_correction=False, progress=done.append, **ONE)
    assert done == [1] * 12
    assert_same_graph(again, expected)


def test_it_is_stored_exactly() -> None:
    quantized = quantize(mixed(), images(), **ONE)
    again, stored = deserialize(serialize(quantized))
    assert_same_graph(again, quantized)
    assert sum(s.values == "i8_row" for s in stored) == 8
    assert again.metadata["quantization"] == "minmax ranges of 12 samples, max weights"


def test_weights_shared_with_a_layer_that_stays_float32() -> None:
    net = Net((4, 6, 6))
    a = net.conv("x", 4, name="a")
    b = net.conv(a, 4, name="b")
    net.built.nodes[-1].inputs[1] = "a.weight"
    c = net.conv(b, 4, name="c")
    net.built.nodes[-1].inputs[1] = "a.weight"
    graph = net.graph(c)
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 6), np.float32)
    quantized = quantize(graph, x, skip=["b"], bias_correction=False, **ONE)
    a, b, c = (node.inputs[1] for node in quantized.nodes)
    assert b == "a.weight"
    assert a == c != b
    assert np.array_equal(quantized.constants[b], graph.constants[b])
    assert quantized.quantization.keys() == {"x", "a.y", "b.y", "c.y", a}


def test_channels_that_are_dead_or_nearly_so() -> None:
    net = Net((4, 6, 6))
    x = net.conv("x", 6, name="a")
    graph = net.graph(net.conv(net.op("relu", x), 4, name="b"))
    weight, bias = graph.constants["a.weight"], graph.constants["a.bias"]
    weight[0], weight[1], weight[2] = 0, 1e-20, 1e-9
    bias[:3] = 1000.0, -700.0, 1e-12
    data = np.random.default_rng(0).standard_normal((2, 4, 6, 6), np.float32)
    quantized = quantize(graph, data, **ONE)
    assert integer_nodes(quantized, quantized.shapes()) == {"a", "b"}
    graph.constants["b.weight"] *= np.float32(1e-12)
    graph.constants["b.bias"][:] = 0
    quantized = quantize(graph, data, **ONE)
    assert integer_nodes(quantized, quantized.shapes()) == {"a", "b"}
    assert all(np.isfinite(error).all() for error in _errors(graph, quantized, data).values())


def test_what_cannot_be_quantized() -> None:
    graph = mixed()
    with pytest.raises(InputError, match="there is no calibration data"):
        quantize(graph, [], **ONE)
    with pytest.raises(InputError, match=r"input 'x' must have shape \(N, 3, 16, 16\), got \(4, 3, 8, 8\)"):
        quantize(graph, images()[0][:, :, :8, :8], **ONE)
    with pytest.raises(InputError, match="holds NaN or infinity"):
        quantize(graph, np.full((1, 3, 16, 16), np.inf, np.float32), **ONE)
    with pytest.raises(InputError, match="becomes NaN or infinite on the calibration data"):
        quantize(graph, np.full((1, 3, 16, 16), 3e38, np.float32), **ONE)
    with pytest.raises(InputError, match="a batch must be an array, or a dict"):
        quantize(graph, ["x"], **ONE)
    with pytest.raises(InputError, match="method must be one of"):
        quantize(graph, images(), method="kl", **ONE)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'net' is quantized already"):
        quantize(quantize(graph, images(), **ONE), images(), **ONE)
    with pytest.raises(InputError, match="graph must be a Graph"):
        quantize("graph", images(), **ONE)  # type: ignore[arg-type]


def test_the_report_compares_every_layer() -> None:
    graph = mixed()
    quantized = converters.quantize(graph, images(), **ONE)
    report = converters.quantization_report(graph, quantized, images(4, seed=5), **ONE)
    assert report.samples == 4
    assert [layer.layer for layer in report.layers] == [node.name for node in quantized.nodes]
    assert report.integer_layers == len(quantized.nodes) - 1
    assert report.integer_macs == 1.0
    known = {layer.layer: layer.snr_db for layer in report.layers}
    assert known["block"] is None, "float32 has no such tensor: the activation was fused"
    assert all(snr is None or 20 < snr < 90 for snr in known.values())
    assert report.outputs == {"softmax.y": known["softmax"]}
    same = converters.quantization_report(graph, graph, images(4), **ONE)
    assert {layer.snr_db for layer in same.layers} == {np.inf}
    assert same.integer_layers == 0
    with pytest.raises(InputError, match="its inputs are others"):
        converters.quantization_report(graph, Net((1, 2, 2)).graph("x"), images(4), **ONE)
