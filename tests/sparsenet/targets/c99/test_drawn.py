"""Networks drawn at random, against the reference: windows of all kinds, branches, several outputs."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.ops.windows import conv_output_size
from tests.full import FULL
from tests.sparsenet.quantized import quantized
from tests.sparsenet.targets.c99.compiled import (
    Compiled,
    assert_exports,
    assert_same,
    compile_c,
    needs_compiler,
    sanitizers,
)

Draw = Any
FUSED = (
    [],
    [["relu"]],
    [["leaky_relu", 0.2], ["affine"]],
    [["add"]],
    [["affine"], ["add"], ["clip", -1.0, 2.0]],
)


class _Network:
    """A graph that grows node by node."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        shape = tuple(draw(st.integers(1, most)) for most in (4, 14, 30))
        self.graph = Graph("drawn", [TensorInfo("x", (None, *shape))], [], [])
        self.shapes = {"x": shape}

    def pick(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def constant(self, *shape: int) -> str:
        name = f"c{len(self.graph.constants)}"
        array = self.rng.standard_normal(shape).astype(np.float32)
        self.graph.constants[name] = np.where(
            self.rng.random(shape) < self.draw(st.sampled_from((0, 0.6, 1))), 0, array
        ).astype(np.float32)
        return name

    def node(self, op: str, inputs: list[str], attrs: dict[str, Any]) -> str:
        name = f"y{len(self.graph.nodes)}"
        self.graph.nodes.append(Node(op, f"n{len(self.graph.nodes)}", inputs, [name], attrs))
        self.shapes[name] = tuple(int(d or 1) for d in self.graph.shapes()[name][1:])
        return name

    def window(self, shape: tuple[int, ...], pooling: bool) -> dict[str, Any] | None:
        """Attributes of a window that fits a map, and its size under ``kernel``."""
        found: dict[str, list[int]] = {"kernel": [], "stride": [], "dilation": [], "before": [], "after": []}
        for size in shape[1:]:
            kernel, dilation = self.pick(1, 4), self.pick(1, 2)
            most = min(2, kernel - 1) if pooling else 2
            before, after = self.pick(0, most), self.pick(0, most)
            stride = self.pick(1, 3)
            if conv_output_size(size, kernel, stride, before, after, dilation) < 1:
                return None
            for name, value in zip(found, (kernel, stride, dilation, before, after), strict=True):
                found[name].append(value)
        padding = found.pop("before") + found.pop("after")
        return {**found, "padding": padding}

    def conv(self, x: str) -> None:
        shape = self.shapes[x]
        attrs = self.window(shape, pooling=False)
        if attrs is None:
            return
        kernel, channels = attrs.pop("kernel"), shape[0]
        groups = self.draw(st.sampled_from([g for g in (1, channels, 2) if channels % g == 0]))
        c_out = groups * self.pick(1, 3) if groups > 1 else self.pick(1, 9)
        inputs = [
            x,
            self.constant(c_out, channels // groups, *kernel),
            *([self.constant(c_out)] if self.pick(0, 1) else [""]),
        ]
        name = self.node("conv2d", inputs, {**attrs, "groups": groups})
        fused = self.draw(st.sampled_from(FUSED))
        node, added = self.graph.nodes[-1], []
        for op, *_ in fused:
            if op == "affine":
                added += [self.constant(c_out), self.constant(c_out)]
            elif op == "add":
                same = [y for y, s in self.shapes.items() if s == self.shapes[name] and y != name]
                if not same:
                    return
                added.append(self.draw(st.sampled_from(same)))
        if fused:
            node.attrs["epilogue"] = fused
            node.inputs += added

    def pool(self, x: str) -> None:
        attrs = self.window(self.shapes[x], pooling=True)
        if attrs is None:
            return
        op = self.draw(st.sampled_from(("max_pool2d", "avg_pool2d")))
        if op == "avg_pool2d":
            del attrs["dilation"]
        self.node(op, [x], attrs)

    def other(self, x: str) -> None:
        """Two maps put together, one resized or rearranged, multiplied by another or by means, or the mean."""
        kind = self.pick(0, 5)
        same = [y for y, s in self.shapes.items() if len(s) == 3 and s[1:] == self.shapes[x][1:]]
        if kind == 0:
            self.node("concat", [x, self.draw(st.sampled_from(same))], {})
        elif kind == 1:
            mode = self.draw(st.sampled_from(("nearest", "bilinear")))
            self.node("resize", [x], {"size": [self.pick(1, 12), self.pick(1, 12)], "mode": mode})
        elif kind == 2:
            self.node("global_avg_pool2d", [x], {})
        elif kind == 5:
            means = [y for y, s in self.shapes.items() if s == (self.shapes[x][0], 1, 1)]
            alike = [y for y in same if self.shapes[y] == self.shapes[x]]
            self.node("mul", self.draw(st.permutations([x, self.draw(st.sampled_from(means + alike))])), {})
        elif kind == 3:
            alike = [y for y in same if self.shapes[y] == self.shapes[x]]
            self.node("add", [x, self.draw(st.sampled_from(alike))], {"epilogue": [["relu"]]})
        else:
            self.node("identity", [x], {})

    def done(self) -> Graph:
        """The graph; what nobody reads is a result, and sometimes a tensor that somebody does read."""
        read = {name for node in self.graph.nodes for name in node.inputs}
        made = [node.output for node in self.graph.nodes]
        self.graph.outputs = [name for name in made if name not in read or self.pick(0, 5) == 0]
        self.graph.verify()
        return self.graph


@st.composite
def networks(draw: Draw) -> Graph:
    network = _Network(draw)
    while not network.graph.nodes or (len(network.graph.nodes) < 7 and network.pick(0, 5)):
        maps = [name for name, shape in network.shapes.items() if len(shape) == 3]
        grow = draw(st.sampled_from((network.conv, network.conv, network.pool, network.other)))
        grow(draw(st.sampled_from(maps[-3:])))
    return network.done()


@needs_compiler
@settings(max_examples=400 if FULL else 12)
@given(networks(), st.sampled_from(("f32", "i8")), st.booleans(), st.sampled_from(("generic", "cortex-m")))
def test_a_network_drawn_at_random_is_right(graph: Graph, values: str, sparse: bool, target: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert_exports(graph, folder, values=values, sparse=sparse, target=target)
        if FULL:
            compile_c(
                folder, "-O1", *sanitizers(), "net.c", "net_weights.c", "net_test.c", "-lm", "-o", "checked"
            )
            subprocess.run([folder / "checked"], capture_output=True, check=True)


@needs_compiler
@settings(max_examples=200 if FULL else 8)
@given(networks(), st.sampled_from(("generic", "cortex-m", "mve")))
def test_a_quantized_network_drawn_at_random_is_exact(graph: Graph, target: str) -> None:
    """Or, where some nodes are computed in float32, right but for a step of a grid."""
    graph = quantized(graph)
    integers = integer_nodes(graph, graph.shapes())
    exact = len(integers) == len(graph.nodes)
    with tempfile.TemporaryDirectory() as name:
        network = Compiled(graph, Path(name), target=target)
        x = 1.3 * np.random.default_rng(0).standard_normal([1, *graph.inputs[0].shape[1:]], np.float32)
        expected, context = reference.run(graph, {"x": x}), network.context()
        found = context.run(x[0])
        for output, result in zip(graph.outputs, found, strict=True):
            assert_same(result, expected[output][0], 0 if exact else 0.02)
        for whole, pushed in zip(found, context.push(x[0]), strict=True):
            np.testing.assert_array_equal(whole, pushed)
