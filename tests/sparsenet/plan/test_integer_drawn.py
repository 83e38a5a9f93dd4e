"""Drawn networks in integers: branches, sums, pools and moves in any order, by any schedule, exactly the oracle's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.engine import Engine
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from sparsenet.targets.cpu.runtime.backend import CpuBackend
from sparsenet.targets.cpu.runtime.threads import WorkerPool
from sparsenet.targets.host import host
from tests.full import FULL
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.quantized import quantized

EXAMPLES = 300 if FULL else 6


class Drawn:
    """A network that grows node by node, each reading tensors that are there."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.rng = draw, np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        size, channels = draw(st.sampled_from([(9, 10), (20, 33)])), draw(st.sampled_from([3, 8]))
        self.graph = Graph("drawn", [TensorInfo("x", (None, channels, *size))], [], [])
        self.shapes = {"x": (channels, *size)}

    def one_of(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def add(self, op: str, inputs: list[str], **attrs: Any) -> None:
        name = f"{op}{len(self.graph.nodes)}"
        self.graph.nodes.append(Node(op, name, inputs, [name], attrs))
        self.shapes[name] = tuple(int(size or 0) for size in self.graph.shapes()[name][1:])

    def grow(self) -> None:
        x = self.one_of(*self.shapes)
        channels, height, width = self.shapes[x]
        kinds = (
            "conv",
            "conv",
            "conv",
            "depthwise",
            "max_pool2d",
            "concat",
            "slice",
            "resize",
            "pad",
            "transpose",
        )
        kind = self.one_of(*kinds, "identity")
        if kind in ("conv", "depthwise"):
            self.convolve(x, kind == "depthwise")
        elif kind == "max_pool2d" and min(height, width) > 3:
            stride, pad = self.one_of(1, 2), self.one_of(0, 1)
            self.add(kind, [x], kernel=[3, 3], stride=[stride] * 2, padding=[pad] * 4)
        elif kind == "concat":
            alike = [name for name, shape in self.shapes.items() if shape[1:] == self.shapes[x][1:]]
            self.add(kind, [self.one_of(*alike), x], axis=1)
        elif kind == "slice":
            start = self.one_of(0, channels // 2)
            self.add(kind, [x], axis=1, start=start, count=channels - start, step=1)
        elif kind == "resize" and height * width < 800:
            self.add(kind, [x], size=[2 * height, 2 * width], mode="nearest")
        elif kind == "pad":
            self.add(kind, [x], padding=[self.one_of(0, 1), 2, 1, 0])
        elif kind == "transpose":
            self.add(kind, [x], perm=self.one_of([0, 1, 3, 2], [0, 2, 1, 3], [0, 3, 2, 1]))
        else:
            self.add("identity", [x])

    def convolve(self, x: str, depthwise: bool) -> None:
        channels, height, width = self.shapes[x]
        kernel = self.one_of(1, 3) if min(height, width) > 2 else 1
        stride, out = self.one_of(1, 1, 2), channels if depthwise else self.one_of(8, 10)
        groups = channels if depthwise else 2 if channels % 2 == 0 and self.one_of(False, True) else 1
        shape = (out, channels // groups, kernel, kernel)
        weight = self.rng.standard_normal(shape) * (self.rng.random(shape) < self.one_of(1.0, 0.4, 0.05))
        weight_name = f"w{len(self.graph.nodes)}"
        self.graph.constants[weight_name] = weight.astype(np.float32) / np.sqrt(np.prod(shape[1:])).astype(
            np.float32
        )
        attrs: dict[str, Any] = {"stride": [stride] * 2, "padding": [kernel // 2] * 4, "groups": groups}
        made = (out, -(-height // stride), -(-width // stride))
        alike = [name for name, other in self.shapes.items() if other == made]
        inputs, epilogue = [x, weight_name], list[list[Any]]()
        if alike and not depthwise and self.one_of(False, True):
            inputs, epilogue = [*inputs, "", self.one_of(*alike)], [["add"]]
        limits: list[list[Any]] = self.one_of([], [["relu"]], [["clip", -0.3, 0.8]], [["leaky_relu", 0.1]])
        if not epilogue and limits != [["leaky_relu", 0.1]] and self.one_of(False, False, True):
            inputs, epilogue = [*inputs, "", *self.line(out)], [*limits, ["affine"]]
            limits = self.one_of([], [["relu"]], [["leaky_relu", 0.2], ["clip", -0.1, 2.0]])
        epilogue += limits
        self.add("conv2d", inputs, **attrs, epilogue=epilogue)

    def line(self, channels: int) -> list[str]:
        """The constants of an affine map of channels that grow, fall and stay."""
        names = [f"{word}{len(self.graph.nodes)}" for word in ("scale", "shift")]
        scale = self.rng.standard_normal(channels) * (self.rng.random(channels) > 0.2)
        for name, numbers in zip(names, (scale, self.rng.standard_normal(channels)), strict=True):
            self.graph.constants[name] = numbers.astype(np.float32)
        return names

    def done(self) -> Graph:
        last = [name for name in self.shapes if name != "x"][-2:]
        self.graph.outputs = last
        self.graph.verify()
        return quantized(self.graph)


@st.composite
def networks(draw: Any) -> Graph:
    drawn = Drawn(draw)
    for _ in range(draw(st.integers(1, 7))):
        drawn.grow()
    return drawn.done()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=not FULL)
@given(networks(), st.sampled_from([1, 2]), st.sampled_from([0, 3000, 10**6]))
def test_drawn_networks(graph: Graph, threads: int, whole_map_bytes: int) -> None:
    options = Options(threads=threads, target=replace(host(), whole_map_bytes=whole_map_bytes))
    engine = Engine(graph, threads)
    plan = make_plan(graph, options)
    plan.link()
    engine._use(CpuBackend(plan, WorkerPool(plan.threads)))
    feeds = random_feeds(graph)
    expected = reference.run(graph, feeds)
    for _ in range(2):
        for name, got in engine.run(feeds).items():
            np.testing.assert_array_equal(got, expected[name], err_msg=name)
    engine.close()
