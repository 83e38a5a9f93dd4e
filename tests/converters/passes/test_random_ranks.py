"""Passes on tensors of every rank, a number per sample included, with dead channels and constants of every shape."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.passes import PASSES, optimize
from sparsenet.graph import Graph
from sparsenet.graph.ops import ACTIVATIONS
from tests.converters.passes.networks import Net, assert_same

ARITHMETIC = ("add", "sub", "mul", "div", "maximum", "minimum")
STEPS = (
    *ARITHMETIC, "constant_first", "activation", "affine", "layer", "concat", "transpose", "flatten", "split",
    "merge", "reduce", "drop_axis", "unit_axis", "slice", "gather", "softmax", "normalize", "two", "matmul", "identity",
)  # fmt: skip
#: Activations that are smooth, defined everywhere and not steep: rounding must not decide what a test sees.
GENTLE = [word for word in ACTIVATIONS if word not in ("exp", "log", "sqrt", "floor", "round", "reciprocal")]
PARAMETERS = {"slope": 0.1, "alpha": 1.0, "min": -0.5, "max": 0.75}
POSITIVE = 0.5


class Walk:
    """A random network, one tensor at a time; ``x`` is the tensor at hand."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        self.net, self.rng, self.x = Net(shape, seed), np.random.default_rng(seed), "x"
        self.seen = ["x"]

    @property
    def sizes(self) -> list[int]:
        """Of the tensor at hand, without the batch."""
        return [int(d or 0) for d in self.net.built.shapes()[self.x][1:]]

    def number(self) -> str:
        return f"c{len(self.net.built.constants)}.{len(self.net.built.nodes)}"

    def constant(self, sizes: list[int]) -> str:
        """One that broadcasts to (N, *sizes): any rank, any axis of 1, alike everywhere or not."""
        full = [1, *sizes]
        shape = [
            1 if self.rng.integers(3) == 0 else size for size in full[int(self.rng.integers(len(full) + 1)) :]
        ]
        values = self.rng.uniform(POSITIVE, 1.5, shape) * self.rng.choice([-1, 1])
        if self.rng.integers(3) == 0:
            values = np.full(shape, self.rng.choice([POSITIVE, 1.0, 0.0]))
        return self.net.constant(self.number(), values)

    def dead(self, weight: np.ndarray) -> np.ndarray:
        """The weight with about half of its output channels dead."""
        weight[self.rng.random(len(weight)) < 0.5] = 0
        return weight

    def step(self, kind: str) -> None:
        net, rng, sizes, axis = self.net, self.rng, self.sizes, 0
        if sizes:
            axis = 1 + int(rng.integers(len(sizes)))
        if kind in ARITHMETIC:
            other = self.constant(sizes)
            if kind == "div" and not net.built.constants[other].all():
                return
            self.x = net.op(kind, self.x, other)
        elif kind == "constant_first":
            self.x = net.op(str(rng.choice(["sub", "add", "mul"])), self.constant(sizes), self.x)
        elif kind == "activation":
            word = str(rng.choice(GENTLE))
            self.x = net.op(word, self.x, **{name: PARAMETERS[name] for name in ACTIVATIONS[word].parameters})
        elif kind == "identity":
            self.x = net.op("identity", self.x)
        elif kind == "two":
            shapes = net.built.shapes()
            same = [name for name in self.seen if shapes[name] == shapes[self.x]]
            self.x = net.op(str(rng.choice(["add", "mul", "sub"])), self.x, str(rng.choice(same)))
        elif kind == "unit_axis":
            if len(sizes) < 4:
                self.x = net.op("reshape", self.x, shape=[1, *sizes])
        elif not sizes:
            return
        elif kind == "affine":
            if len(sizes) in (1, 3):
                self.x = net.affine(self.x)
        elif kind == "layer":
            self.layer(sizes)
        elif kind == "concat":
            self.x = net.op("concat", self.x, net.op("relu", self.x), axis=axis)
        elif kind == "transpose":
            self.x = net.op("transpose", self.x, perm=[0, *(1 + rng.permutation(len(sizes))).tolist()])
        elif kind == "flatten":
            self.x = net.op("flatten", self.x)
        elif kind == "split":
            if len(sizes) < 4:
                size = sizes[axis - 1]
                parts = [2, size // 2] if size % 2 == 0 else [1, size]
                self.x = net.op("reshape", self.x, shape=[*sizes[: axis - 1], *parts, *sizes[axis:]])
        elif kind == "merge":
            if len(sizes) > 1:
                self.x = net.op("reshape", self.x, shape=[sizes[0] * sizes[1], *sizes[2:]])
        elif kind in ("reduce", "drop_axis"):
            reduction = str(rng.choice(["sum", "mean", "max"]))
            self.x = net.op("reduce", self.x, kind=reduction, axes=[axis], keepdims=kind == "reduce")
        elif kind == "slice":
            count = 1 + int(rng.integers(sizes[axis - 1]))
            self.x = net.op("slice", self.x, axis=axis, start=0, count=count)
        elif kind == "gather":
            indices = rng.integers(0, sizes[axis - 1], 2).tolist()
            self.x = net.op("gather", self.x, axis=axis, indices=indices)
        elif kind == "softmax":
            self.x = net.op("softmax", self.x, axis=axis)
        elif kind == "normalize":
            if np.prod(sizes[axis - 1 :]) > 1:
                self.x = net.op("normalize", self.x, axis=axis, eps=0.5)
        elif kind == "matmul" and len(sizes) > 1:
            weight = self.dead(rng.normal(0, sizes[-1] ** -0.5, (3, sizes[-1]))).T
            self.x = net.op("matmul", self.x, net.constant(self.number(), weight))

    def layer(self, sizes: list[int]) -> None:
        """A convolution or a linear layer with dead output channels."""
        if len(sizes) not in (1, 3):
            return
        made = len(self.net.built.nodes)
        if len(sizes) == 1:
            self.x = self.net.linear(self.x, 5, name=f"layer{made}")
        else:
            self.x = self.net.conv(self.x, 4, int(self.rng.choice([1, 3])), name=f"layer{made}")
        weight = self.net.built.constants[f"layer{made}.weight"]
        self.net.built.constants[f"layer{made}.weight"] = self.dead(weight.copy())


def build(shape: list[int], steps: list[str], seed: int, several: bool) -> Graph:
    walk = Walk(tuple(shape), seed)
    for kind in steps:
        if np.prod(walk.sizes) > 500 and kind in ("concat", "two"):
            continue
        walk.step(kind)
        walk.seen.append(walk.x)
    if walk.x == "x":
        walk.step("activation")
    middle = walk.seen[len(walk.seen) // 2]
    return walk.net.graph(*dict.fromkeys([walk.x, *([middle] if several and middle != "x" else [])]))


graphs = st.builds(
    build,
    shape=st.lists(st.integers(1, 4), min_size=0, max_size=4),
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=14),
    seed=st.integers(0, 10_000),
    several=st.booleans(),
)


@settings(max_examples=400)
@given(graphs)
def test_passes_keep_what_a_network_of_any_rank_computes(graph: Graph) -> None:
    assert_same(graph, optimize(graph))


@settings(max_examples=200)
@given(graphs)
def test_each_pass_alone_keeps_what_a_network_of_any_rank_computes(graph: Graph) -> None:
    for step in dict.fromkeys(PASSES):
        assert_same(graph, step(graph))


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(("activation", "identity", *ARITHMETIC, "constant_first", "two")), min_size=1),
    st.integers(0, 99),
)
def test_one_number_per_sample(steps: list[str], seed: int) -> None:
    graph = build([4, 3, 3], ["layer", "layer", "flatten", "drop_axis", *steps], seed, several=True)
    assert len(graph.shapes()[graph.outputs[0]]) == 1
    assert_same(graph, optimize(graph))
