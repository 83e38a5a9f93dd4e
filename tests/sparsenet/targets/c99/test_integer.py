"""Quantized networks in C: bytes between the layers, equal to the reference to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.graph.integer import KINDS, integer_nodes
from sparsenet.graph.ops import OPS
from sparsenet.graph.quantization import Quantization
from sparsenet.targets.c99.export import Export
from tests.sparsenet.quantized import quantized
from tests.sparsenet.targets.c99.compiled import Compiled, needs_compiler
from tests.sparsenet.targets.c99.networks import odd_net, separable_net


def assert_exact(graph: Graph, folder: Path, **options: Any) -> Export:
    """Whole and row by row, with inputs on their grid and beyond it."""
    network = Compiled(graph, folder, **options)
    for seed in range(2):
        rng = np.random.default_rng(seed)
        feeds = {
            info.name: 1.5 * rng.standard_normal([1, *(int(d or 1) for d in info.shape[1:])], np.float32)
            for info in graph.inputs
        }
        expected = reference.run(network.stored, feeds)
        context = network.context()
        arrays = [feed[0] for feed in feeds.values()]
        found = context.run(*arrays)
        for name, result in zip(graph.outputs, found, strict=True):
            np.testing.assert_array_equal(result, expected[name][0], err_msg=name)
        if "ROWS" in network.sizes:
            for whole, pushed in zip(found, context.push(arrays[0]), strict=True):
                np.testing.assert_array_equal(whole, pushed)
    return network.exported


@needs_compiler
@pytest.mark.parametrize("values", ["f32", "i8"])
def test_a_quantized_network_is_exact(tmp_path: Path, values: str) -> None:
    graph = quantized(separable_net())
    assert integer_nodes(graph, graph.shapes()) >= {
        "stem",
        "depthwise",
        "pointwise",
        "pool",
        "shortcut",
        "exit",
        "head",
    }
    exported = assert_exact(graph, tmp_path, values=values)
    assert {d.format for d in exported.plan.decisions if d.op == "conv2d"} == {"int8 csr", "int8 dense"}


@needs_compiler
@pytest.mark.parametrize("layout, std", [("chw", (127.5,)), ("hwc", (127.5, 99.0, 64.0))])
def test_images_in_bytes_are_rounded_as_their_numbers_are(
    tmp_path: Path, layout: str, std: tuple[float, ...]
) -> None:
    """Also where each byte stands for a number halfway between two of the grid."""
    graph = quantized(separable_net())
    graph.quantization["x"] = Quantization.of_activations(2 / 255, 127)
    options = {"input": "u8", "mean": (127.5,), "std": std, "layout": layout}
    image = np.random.default_rng(0).integers(0, 256, (3, 13, 13), np.uint8)
    numbers = ((image - 127.5) / np.reshape(std, (-1, 1, 1))).astype(np.float32)
    expected = reference.run(graph, {"x": numbers[None]})["y"][0]
    given = image if layout == "chw" else image.transpose(1, 2, 0)
    context = Compiled(graph, tmp_path, **options).context()
    for found in (context.run(given), context.push(given, layout)):
        np.testing.assert_array_equal(found[0], expected)


@needs_compiler
def test_bytes_between_layers_take_a_quarter_of_the_ram(tmp_path: Path) -> None:
    graph = separable_net(64)
    whole = Compiled(graph, tmp_path / "float").sizes["ARENA_BYTES"]
    assert Compiled(quantized(graph), tmp_path / "bytes").sizes["ARENA_BYTES"] < 0.45 * whole


def one_of_each() -> Graph:
    """Sums, means, tables, poolings and windows of all kinds, channels that fill no quad, nodes in float32 between."""
    rng = np.random.default_rng(0)
    graph = Graph("each", [TensorInfo("x", (None, 6, 9, 11))], [], [])

    def add(op: str, inputs: list[str], **attrs: Any) -> str:
        graph.nodes.append(Node(op, f"n{len(graph.nodes)}", inputs, [f"y{len(graph.nodes)}"], attrs))
        return graph.nodes[-1].output

    def weight(*shape: int) -> str:
        name = f"w{len(graph.constants)}"
        graph.constants[name] = rng.standard_normal(shape).astype(np.float32)
        return name

    same = {"padding": [1, 1, 1, 1]}
    a = add("conv2d", ["x", weight(7, 6, 3, 3), weight(7)], **same, epilogue=[["relu"]])
    b = add("conv2d", [a, weight(7, 1, 3, 2)], padding=[2, 0, 0, 1], groups=7, epilogue=[["leaky_relu", 0.1]])
    c = add("conv2d", ["x", weight(14, 3, 2, 2)], stride=[2, 2], dilation=[2, 1], groups=2)
    d = add("add", [a, b], epilogue=[["clip", -0.5, 1.0]])
    e = add("sigmoid", [d])
    f = add("max_pool2d", [e], kernel=[3, 2], stride=[2, 1], padding=[1, 0, 1, 1])
    g = add("avg_pool2d", [d], kernel=[3, 3], stride=[2, 2], **same, count_include_pad=False)
    h = add("concat", [a, b])
    i = add("global_avg_pool2d", [c])
    j = add("flatten", [i])
    k = add("linear", [j, weight(5, 14), weight(5)])
    m = add("softmax", [k])
    n = add("conv2d", [h, weight(3, 14, 1, 1)], epilogue=[["clip", 0.0, 2.0]])
    o = add("mul", [add("sigmoid", [add("global_avg_pool2d", [b])]), a], epilogue=[["leaky_relu", 0.2]])
    p = add("mul", [o, b], epilogue=[["clip", -0.3, 0.4]])
    q = add("resize", [p], size=[13, 7])
    r = add("concat", [q, add("resize", [g], size=[13, 7]), q])
    s = add("concat", [j, add("flatten", [add("global_avg_pool2d", [r])])])
    t = add("linear", [s, weight(3, 35)])
    graph.outputs = [f, g, m, n, k, r, t]
    graph.verify()
    return graph


@needs_compiler
def test_every_kind_of_integer_node_is_exact(tmp_path: Path) -> None:
    graph = quantized(one_of_each())
    del graph.quantization["y11"]  # of the softmax, which is float32
    network = Compiled(graph, tmp_path)
    in_bytes = {d.op for d in network.exported.plan.decisions if d.format.startswith("int8")}
    assert {OPS[op].integer for op in in_bytes} == KINDS
    assert {"concat", "resize"} <= in_bytes
    x = np.random.default_rng(5).standard_normal((1, 6, 9, 11), np.float32)
    expected = reference.run(graph, {"x": x})
    for name, found in zip(graph.outputs, network.context().run(x[0]), strict=True):
        if name == "y11":
            np.testing.assert_allclose(found, expected[name][0], rtol=1e-5)
        else:
            np.testing.assert_array_equal(found, expected[name][0], err_msg=name)


@needs_compiler
@pytest.mark.parametrize("target", ["generic", "cortex-m", "mve"])
def test_maps_that_fill_neither_tiles_nor_quads_are_exact(tmp_path: Path, target: str) -> None:
    """For MVE by what stands beside its intrinsics."""
    assert_exact(quantized(odd_net()), tmp_path, target=target)
