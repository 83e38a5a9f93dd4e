"""Nodes in integers: whatever the layout, the schedule and the kernels, the oracle's results to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo, bundle, load, reference, save
from sparsenet.graph.quantization import Quantization
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from sparsenet.targets.cpu.runtime import jit
from sparsenet.targets.cpu.runtime.backend import CpuBackend
from sparsenet.targets.cpu.runtime.threads import WorkerPool
from sparsenet.targets.host import host, rings_available
from sparsenet.targets.target import AVX2, GENERIC, SSE, Target
from tests.full import chosen
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.quantized import quantized

EVERYTHING_STREAMS = replace(host(), whole_map_bytes=0)


def convolutions(size: tuple[int, int], c_in: int, *layers: dict[str, Any], seed: int = 0) -> Graph:
    """A chain of convolutions; a layer is its ``out`` channels, ``kernel``, ``density`` and attributes."""
    rng, graph, x = (
        np.random.default_rng(seed),
        Graph("chain", [TensorInfo("x", (None, c_in, *size))], [], []),
        "x",
    )
    channels = c_in
    for number, layer in enumerate(layers):
        layer = {"out": 8, "kernel": 3, "density": 1.0, "groups": 1, "added": (), **layer}
        name, kernel = f"conv{number}", layer.pop("kernel")
        shape = (layer.pop("out"), channels // layer["groups"], kernel, kernel)
        weight = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        graph.constants[f"{name}.w"] = weight * (rng.random(shape) < layer.pop("density"))
        graph.constants[f"{name}.b"] = (0.3 * rng.standard_normal(shape[0])).astype(np.float32)
        inputs = [x, f"{name}.w", f"{name}.b", *layer.pop("added")]
        graph.nodes.append(Node("conv2d", name, inputs, [name], layer))
        x, channels = name, shape[0]
    graph.outputs = [x]
    graph.verify()
    return graph


def planned(graph: Graph, options: Options) -> Engine:
    engine = Engine(graph, options.threads)
    plan = make_plan(graph, options)
    plan.link()
    engine._use(CpuBackend(plan, WorkerPool(plan.threads)))
    return engine


def assert_exact(graph: Graph, options: Options | None = None) -> Engine:
    """Run twice, in memory full of the first run's leftovers; every output is the oracle's."""
    engine = planned(graph, options) if options else Engine(graph, 1)
    feeds = random_feeds(graph)
    expected = reference.run(graph, feeds)
    for _ in range(2):
        for name, got in engine.run(feeds).items():
            np.testing.assert_array_equal(got, expected[name], err_msg=str(engine.explain()))
    return engine


def formats(engine: Engine) -> list[str]:
    return [decision.format for decision in engine.explain()]


SAME = {"padding": [1, 1, 1, 1]}
LAYERS: dict[str, tuple[tuple[int, int], int, dict[str, Any]]] = {
    "pixels": ((20, 21), 8, {"kernel": 1, "out": 12}),
    "padding": ((18, 33), 6, {**SAME, "out": 10, "density": 0.5}),
    "flattened": ((7, 7), 16, {**SAME, "out": 5, "density": 0.4, "epilogue": [["relu"]]}),
    "flattened-stride": ((14, 14), 8, {**SAME, "stride": [2, 2], "density": 0.4}),
    "stride-dilation": ((40, 50), 5, {"stride": [2, 2], "dilation": [2, 2], "padding": [2, 1, 2, 3]}),
    "first-layer": (
        (33, 33),
        3,
        {"kernel": 7, "out": 25, "stride": [2, 2], "padding": [3] * 4, "epilogue": [["clip", 0.0, 1.5]]},
    ),
    "one-channel": ((20, 37), 1, {"kernel": 5, "out": 12, "padding": [2, 4, 1, 3], "dilation": [2, 2]}),
    "few-outputs": ((20, 37), 3, {**SAME, "out": 4, "stride": [2, 2]}),
    "groups-of-quads": ((12, 31), 8, {**SAME, "groups": 2, "out": 16, "density": 0.6}),
    "groups-of-three": ((12, 31), 6, {**SAME, "groups": 2, "out": 6}),
    "depthwise": ((18, 33), 6, {**SAME, "groups": 6, "out": 6, "epilogue": [["relu"]]}),
    "depthwise-stride": (
        (33, 35),
        8,
        {**SAME, "groups": 8, "out": 8, "stride": [2, 2], "epilogue": [["leaky_relu", 0.1]]},
    ),
    "depthwise-flattened": ((7, 7), 8, {**SAME, "groups": 8, "out": 8}),
    "depthwise-twice": ((12, 13), 4, {**SAME, "groups": 4, "out": 8}),
    "nearly-empty": ((20, 20), 64, {"kernel": 1, "density": 0.02}),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_one_convolution(name: str, threads: int) -> None:
    size, c_in, layer = LAYERS[name]
    engine = assert_exact(quantized(convolutions(size, c_in, layer)), Options(threads=threads))
    assert formats(engine)[0].startswith("int8 ")


def test_zeros_choose_the_kernel() -> None:
    layers = [{"kernel": 1, "out": 64, "density": density} for density in (1.0, 0.2, 0.005)]
    graph = quantized(convolutions((12, 12), 64, *layers))
    assert formats(assert_exact(graph)) == ["int8 dense", "int8 pattern", "int8 csr"]
    assert formats(Engine(graph, 1, sparse=False)) == ["int8 dense"] * 3


CHAIN = (
    {**SAME, "out": 12, "density": 0.5, "epilogue": [["relu"]]},
    {"padding": [2] * 4, "dilation": [2, 2], "out": 12, "density": 0.3},
    {"kernel": 1, "out": 12, "added": ("conv0",), "epilogue": [["add"], ["leaky_relu", 0.2]], "density": 0.3},
    {**SAME, "stride": [2, 2], "out": 7},
)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rings", [True, False], ids=["rings", "sliding"])
def test_rows_of_quads_stream(rings: bool, threads: int) -> None:
    if rings and not rings_available():
        pytest.skip("this system cannot map rings")
    depthwise = {**SAME, "groups": 12, "out": 12}
    graph = quantized(
        convolutions((40, 52), 5, CHAIN[0], depthwise, *CHAIN[1:], depthwise | {"out": 7, "groups": 7})
    )
    engine = assert_exact(graph, Options(threads=threads, rings=rings, target=EVERYTHING_STREAMS))
    assert any(segment.streamed for segment in engine.plan.segments)


def test_float32_between() -> None:
    """A node without a grid computes in float32: what it reads and makes changes its form, each once."""
    graph = quantized(convolutions((14, 15), 6, *CHAIN))
    graph.nodes[2].attrs["epilogue"] = [["add"]]
    graph.constants["conv2.w"] = np.round(graph.constants["conv2.w"])  # sums that any order makes exactly
    del graph.quantization["conv2.w"]
    engine, feeds = planned(graph, Options()), random_feeds(graph)
    assert [name.startswith("int8") for name in formats(engine)] == [True, True, False, True]
    got, want = (values["conv3"] for values in (engine.run(feeds), reference.run(graph, feeds)))
    step = float(graph.quantization["conv3"].scale)
    assert np.abs(got - want).max() < 1.5 * step
    assert (got == want).mean() > 0.99


def moves(size: int, channels: int, *kinds: tuple[str, dict[str, Any]]) -> Graph:
    """A convolution, the ops that only take its numbers elsewhere, and a convolution that reads what became of them."""
    graph = convolutions((size, size + 3), 5, {**SAME, "out": channels, "epilogue": [["relu"]]})
    x = "conv0"
    for number, (op, attrs) in enumerate(kinds):
        inputs = [x, x, x] if op == "concat" else [x]
        graph.nodes.append(Node(op, f"{op}{number}", inputs, [f"{op}{number}"], attrs))
        x = f"{op}{number}"
    channels = int(graph.shapes()[x][1] or 0)
    weight = np.random.default_rng(1).standard_normal((6, channels, 3, 3)).astype(np.float32)
    graph.constants["last.w"] = weight * (np.random.default_rng(2).random(weight.shape) < 0.5)
    graph.nodes.append(Node("conv2d", "last", [x, "last.w"], ["last"], SAME))
    graph.outputs = ["last", x]
    graph.verify()
    return graph


POOL = {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 0, 1]}
MOVES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "pool": [("max_pool2d", POOL)],
    "pool-any-window": [
        ("max_pool2d", {"kernel": [2, 3], "stride": [1, 3], "padding": [0, 1, 1, 1], "dilation": [2, 2]})],
    "concat-slice": [("concat", {"axis": 1}), ("slice", {"axis": 1, "start": 8, "count": 9, "step": 1})],
    "rows-columns": [
        ("identity", {}), ("slice", {"axis": 3, "start": 2, "count": 7, "step": 2}), ("resize", {"size": [13, 40]})],
    "padded-quads": [("pad", {"padding": [3, 2, 1, 1]}), ("max_pool2d", POOL)],
    "quads-taken-apart": [
        ("slice", {"axis": 1, "start": 3, "count": 5, "step": 1}), ("concat", {"axis": 1}),
        ("gather", {"axis": 1, "indices": [14, 3, 3, 0, 7, 9, 1, 2]}),
        ("pad", {"padding": [1, 2, 0, 1], "mode": "reflect"})],
    "in-another-order": [
        ("transpose", {"perm": [0, 3, 2, 1]}), ("transpose", {"perm": [0, 3, 1, 2]}),
        ("depth_to_space", {"block": [2, 2]}), ("space_to_depth", {"block": [2, 2]})],
    "shuffled": [
        ("reshape", {"shape": [2, 4, -1]}), ("transpose", {"perm": [0, 2, 1, 3]}), ("reshape", {"shape": [8, 10, -1]})],
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("size", chosen([17], [7, 17, 40]))
def test_what_only_moves_numbers(name: str, size: int) -> None:
    graph = quantized(moves(size, 8, *MOVES[name]))
    engine = assert_exact(graph, Options(threads=2))
    assert all("int8" in form for form in formats(engine))
    assert_exact(graph, Options(target=EVERYTHING_STREAMS))


HOSTS = [target for target in (AVX2, SSE, GENERIC) if target.features <= jit.cpu_features()]


@pytest.mark.parametrize("target", HOSTS, ids=lambda target: target.name)
def test_every_instruction_set(target: Target) -> None:
    graph = quantized(convolutions((9, 19), 6, *CHAIN))
    assert_exact(graph, Options(target=target))


@pytest.mark.parametrize("size", chosen([(2, 1), (5, 37)], [(2, 1), (3, 3), (5, 37), (16, 16)]))
@pytest.mark.parametrize("channels", chosen([1, 6], [1, 2, 3, 4, 5, 6]))
def test_numbers_are_rounded_at_the_border(size: tuple[int, int], channels: int) -> None:
    """Beyond the grid, infinite, not numbers, and halves: as ``Quantization.round`` has them."""
    graph = Graph("border", [TensorInfo("x", (None, channels, *size))], ["y"], [])
    graph.nodes = [Node("conv2d", "c", ["x", "w"], ["y"])]
    graph.constants = {"w": np.eye(channels, dtype=np.float32)[:, :, None, None]}
    grid = Quantization.of_activations(0.5, 131)
    weights = Quantization.of_weights(np.full(channels, 1 / 64, np.float32))
    graph.quantization = {"x": grid, "y": grid, "w": weights}
    graph.verify()
    strange = np.float32([0.25, -0.75, 1e30, -1e30, np.inf, -np.inf, np.nan, 62.1, -65.4, 0.0])
    x = np.random.default_rng(0).choice(strange, (1, channels, *size))
    np.testing.assert_array_equal(Engine(graph, 1).run({"x": x})["y"], grid.numbers(grid.round(x)))


@pytest.mark.parametrize("scale", [0.0371, 3.7e-25, 1.3e25])
def test_rounding_is_that_of_a_division(scale: float) -> None:
    """Next to halves, where a product with the reciprocal would round to the other side."""
    grid = Quantization.of_activations(scale, 77)
    halves = (np.arange(-300, 300) + 0.5).astype(np.float32) * grid.scale
    x = np.stack([halves, np.nextafter(halves, np.float32(0)), np.nextafter(halves, np.float32(np.inf))])
    graph = Graph(
        "border", [TensorInfo("x", (None, 3, 20, 30))], ["y"], [Node("identity", "i", ["x"], ["y"])]
    )
    graph.quantization = {"x": grid, "y": grid}
    graph.verify()
    got = Engine(graph, 1).run({"x": x.reshape(1, 3, 20, 30)})["y"]
    np.testing.assert_array_equal(got, grid.numbers(grid.round(x.reshape(1, 3, 20, 30))))


def test_files_and_bundles_hold_it(tmp_path: Path) -> None:
    graph = quantized(convolutions((14, 14), 6, *CHAIN))
    feeds = random_feeds(graph)
    save(graph, tmp_path / "m.safetensors")
    engine = load(tmp_path / "m.safetensors", threads=1)
    bundle.save(engine.plan, tmp_path / "b", sparse=True, metadata={})
    for loaded in (engine, load(tmp_path / "b")):
        np.testing.assert_array_equal(loaded.run(feeds)["conv3"], reference.run(graph, feeds)["conv3"])
        assert formats(loaded)[0] == "int8 pattern"
