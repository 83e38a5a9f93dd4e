"""Equalization: the network stays what it is, and one scale suits all channels."""

from __future__ import annotations

import numpy as np
import pytest

from converters import equalize, quantize
from converters.quantization.equalize import factors, links
from sparsenet import reference
from sparsenet.errors import InputError
from sparsenet.graph import Graph
from tests.converters.passes.networks import Net
from tests.converters.quantization.networks import images, mixed


def _separable() -> Graph:
    """Channels of very different ranges before a depthwise layer, a grouped one and a linear one."""
    net = Net((3, 16, 16), seed=1)
    x = net.conv("x", 8, 3, name="wide", stride=[2, 2], epilogue=[["relu"]])
    x = net.depthwise(x, name="depthwise", epilogue=[["leaky_relu", 0.125]])
    x = net.conv(net.op("max_pool2d", x, kernel=[2, 2], stride=[2, 2]), 12, 3, name="grouped", groups=2)
    x = net.conv(net.op("relu", x), 6, 1, name="point", bias=False)
    graph = net.graph(net.linear(net.op("flatten", net.op("global_avg_pool2d", x)), 5, name="head"))
    spread = np.float32(2) ** np.arange(8, dtype=np.float32)[::-1] / 64
    for name in ("wide.weight", "wide.bias"):
        array = graph.constants[name]
        array *= spread.reshape(-1, *[1] * (array.ndim - 1))
    graph.constants["depthwise.weight"] /= spread.reshape(-1, 1, 1, 1)  # the small ones count as well
    graph.constants["point.weight"][:, 3] = 0
    return graph


def test_the_network_stays_the_same() -> None:
    graph = _separable()
    made = equalize(graph, images(), threads=1)
    x = images(4, seed=7)[0]
    before, after = (reference.run(g, {"x": x})[graph.outputs[0]] for g in (graph, made))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5 * np.abs(before).max())
    for name, array in graph.constants.items():
        assert np.array_equal(made.constants[name] == 0, array == 0), "zeros stay"


def test_which_layers_may_have_factors() -> None:
    named = {link.maker.name: [node.name for node in link.readers] for link in links(_separable())}
    assert named == {"wide": ["depthwise"], "depthwise": ["grouped"], "grouped": ["point"], "point": ["head"]}
    assert [link.maker.name for link in links(mixed())] == ["conv1", "late"]


def test_channels_have_ranges_alike() -> None:
    graph = _separable()
    made = equalize(graph, images(), threads=1)
    spreads = []
    for g in (graph, made):
        wide = np.abs(reference.run(g, {"x": np.concatenate(images())}, keep="all")["wide.y"]).max(
            axis=(0, 2, 3)
        )
        spreads.append(wide.max() / wide.min())
    assert spreads[0] > 20
    assert spreads[1] == pytest.approx(1, rel=1e-3)


def test_less_is_lost() -> None:
    graph, x = _separable(), images(4, seed=5)[0]
    exact = reference.run(graph, {"x": x})[graph.outputs[0]]
    noise = []
    for g in (graph, equalize(graph, images(), threads=1)):
        got = reference.run(quantize(g, images(), threads=1), {"x": x})[graph.outputs[0]]
        noise.append(np.square(got - exact).sum())
    assert noise[1] < 0.5 * noise[0]


def test_dead_channels_and_those_that_nobody_reads() -> None:
    graph = _separable()
    link = next(iter(links(graph)))
    largest = np.array([1.0, 0.0, 1e-9, 2.0, 4.0, 8.0, 8.0, 8.0])
    by = factors(graph, link, largest)
    assert by.max() == 1
    assert by.min() == 1 / 256
    assert by[1] == 0.5, "the median of the others"
    assert (factors(graph, link, np.zeros(8)) == 1).all()


def test_what_cannot_be_equalized() -> None:
    graph = _separable()
    with pytest.raises(InputError, match="quantized already"):
        equalize(quantize(graph, images(), threads=1), images(), threads=1)
    with pytest.raises(InputError, match="graph must be a Graph"):
        equalize(None, images(), threads=1)  # type: ignore[arg-type]
