"""Small random networks for the tests of the passes, and the comparison every one of them ends with."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.graph import FloatArray, Graph, Node, TensorInfo
from sparsenet.reference import run


class Net:
    """Builds a graph node by node; every method returns the name of the tensor it makes.

    Weights, biases and BN statistics are drawn from one seeded generator and nothing is zero by chance.
    """

    def __init__(self, shape: tuple[int, ...] = (3, 8, 8), seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.built = Graph("net", [TensorInfo("x", (None, *shape))], ["x"], [])

    def op(self, op: str, *inputs: str, name: str = "", **attrs: Any) -> str:
        name = name or f"{op}{len(self.built.nodes)}"
        self.built.nodes.append(Node(op, name, list(inputs), [f"{name}.y"], attrs))
        return f"{name}.y"

    def constant(self, name: str, array: Any) -> str:
        self.built.constants[name] = np.asarray(array, np.float32)
        return name

    def channels(self, tensor: str) -> int:
        return int(self.built.shapes()[tensor][1] or 0)

    def conv(
        self, x: str, c_out: int, k: int = 3, *, padding: int | None = None, bias: bool = True, groups: int = 1,
        name: str = "", **attrs: Any,
    ) -> str:  # fmt: skip
        name = name or f"conv{len(self.built.nodes)}"
        c_in = self.channels(x) // groups
        pad = k // 2 if padding is None else padding
        weight = self.constant(
            f"{name}.weight", self.rng.normal(0, (c_in * k * k) ** -0.5, (c_out, c_in, k, k))
        )
        b = self.constant(f"{name}.bias", self.rng.normal(0.3, 0.5, c_out)) if bias else ""
        return self.op("conv2d", x, weight, b, name=name, padding=[pad] * 4, groups=groups, **attrs)

    def depthwise(self, x: str, k: int = 3, **attrs: Any) -> str:
        return self.conv(x, self.channels(x), k, groups=self.channels(x), **attrs)

    def linear(self, x: str, features: int, *, bias: bool = True, name: str = "") -> str:
        name = name or f"linear{len(self.built.nodes)}"
        f_in = self.channels(x)
        weight = self.constant(f"{name}.weight", self.rng.normal(0, f_in**-0.5, (features, f_in)))
        b = self.constant(f"{name}.bias", self.rng.normal(0, 0.5, features)) if bias else ""
        return self.op("linear", x, weight, b, name=name)

    def batch_norm(self, x: str, name: str = "") -> str:
        name = name or f"bn{len(self.built.nodes)}"
        c, rng = self.channels(x), self.rng
        vectors = {
            "scale": rng.uniform(0.5, 1.5, c), "bias": rng.normal(0.2, 0.5, c), "mean": rng.normal(0, 0.5, c),
            "var": rng.uniform(0.5, 2, c),
        }  # fmt: skip
        inputs = [self.constant(f"{name}.{key}", value) for key, value in vectors.items()]
        return self.op("batch_norm", x, *inputs, name=name)

    def affine(self, x: str, name: str = "") -> str:
        name = name or f"affine{len(self.built.nodes)}"
        c = self.channels(x)
        scale = self.constant(f"{name}.scale", self.rng.uniform(-1.5, 1.5, c))
        return self.op(
            "affine", x, scale, self.constant(f"{name}.shift", self.rng.normal(0, 1, c)), name=name
        )

    def head(self, x: str, classes: int = 4) -> str:
        return self.linear(self.op("flatten", self.op("global_avg_pool2d", x)), classes)

    def kill(self, name: str, channels: Any, *, inputs: bool = False) -> None:
        """Zero the weights of output (or input) channels of a layer, as structured pruning does."""
        weight = self.built.constants[f"{name}.weight"].copy()
        weight[(slice(None), channels) if inputs else channels] = 0
        self.built.constants[f"{name}.weight"] = weight

    def silence(self, name: str, channels: Any) -> None:
        """Zero scale and shift of BN channels too, so that a pruned channel is zero all the way."""
        for key in ("scale", "bias"):
            vector = self.built.constants[f"{name}.{key}"].copy()
            vector[channels] = 0
            self.built.constants[f"{name}.{key}"] = vector

    def graph(self, *outputs: str) -> Graph:
        self.built.outputs = list(outputs)
        self.built.verify()
        return self.built


def feed(graph: Graph, batch: int = 2, seed: int = 1) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    return {t.name: rng.normal(0, 1, (batch, *t.shape[1:])).astype(np.float32) for t in graph.inputs}


def assert_same(before: Graph, after: Graph, tolerance: float = 1e-5) -> None:
    """Same outputs by name, within ``tolerance`` of the largest value; every tensor left means what it meant."""
    after.verify()
    assert after.inputs == before.inputs
    assert after.output_infos() == before.output_infos()
    feeds = feed(before)
    expected, got = run(before, feeds, keep="all"), run(after, feeds, keep="all")
    for name in after.outputs:
        assert_close(got[name], expected[name], name, tolerance)
    for name in expected.keys() & got.keys():
        if got[name].shape == expected[name].shape:
            assert_close(got[name], expected[name], name, tolerance)


def assert_close(got: FloatArray, expected: FloatArray, name: str, tolerance: float = 1e-5) -> None:
    limit = tolerance * max(1.0, float(np.abs(expected).max()))
    assert float(np.abs(got - expected).max()) <= limit, name


def describe(graph: Graph) -> list[str]:
    """One line per node, for comparing structure: ``conv2d(x)+relu+add -> y``."""
    return [
        f"{n.op}({n.inputs[0]}){''.join('+' + step[0] for step in n.epilogue)} -> {n.output}"
        for n in graph.nodes
    ]


def assert_untouched(before: Graph, snapshot: Graph) -> None:
    """A pass must work on a copy."""
    assert before.nodes == snapshot.nodes
    assert before.constants.keys() == snapshot.constants.keys()
    for name, array in before.constants.items():
        np.testing.assert_array_equal(array, snapshot.constants[name])
