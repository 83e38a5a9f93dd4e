"""Whatever a random network looks like and wherever channels were killed, passes never change what it computes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.passes import PASSES, kept_channels, optimize, reduce_channels
from sparsenet.graph import Graph
from sparsenet.reference import run
from tests.converters.passes.networks import Net, assert_close, assert_same, assert_untouched, feed

POOL = {"kernel": [3, 3], "stride": [1, 1]}
STEPS = (
    "conv3", "conv1", "valid", "strided", "depthwise", "grouped", "batch_norm", "affine", "relu", "silu", "clip",
    "max_pool2d", "avg_pool2d", "residual", "residual_conv", "concat", "gate", "scale", "pad", "dropout", "resize",
    "identity_output",
)  # fmt: skip


def build(steps: list[str], seed: int, kill: float, silent: bool) -> Graph:
    net = Net((3, 9, 7), seed)
    rng = np.random.default_rng(seed)
    x = net.conv("x", 8, bias=bool(seed % 2))
    outputs = []
    for step in steps:
        height, width = net.built.shapes()[x][2:]
        small = min(height or 0, width or 0) < 4
        if step in ("valid", "strided") and small:
            continue
        before = x
        if step == "conv3":
            x = net.conv(x, int(rng.integers(4, 10)), bias=bool(rng.integers(2)))
        elif step == "conv1":
            x = net.conv(x, int(rng.integers(4, 10)), 1)
        elif step == "valid":
            x = net.conv(x, 6, padding=0)
        elif step == "strided":
            x = net.conv(x, 6, stride=[2, 2], dilation=[1, 1])
        elif step == "depthwise":
            x = net.depthwise(x, bias=bool(rng.integers(2)))
        elif step == "grouped":
            x = net.conv(x, 2 * net.channels(x), 1, groups=2 if net.channels(x) % 2 == 0 else 1)
        elif step == "batch_norm":
            x = net.batch_norm(x)
        elif step == "affine":
            x = net.affine(x)
        elif step in ("relu", "silu"):
            x = net.op(step, x)
        elif step == "clip":
            x = net.op(step, x, min=-0.25, max=0.75)
        elif step in ("max_pool2d", "avg_pool2d"):
            x = net.op(step, x, **POOL, padding=[1] * 4)
        elif step == "residual":
            x = net.op("add", x, net.batch_norm(net.conv(net.op("relu", x), net.channels(x))))
        elif step == "residual_conv":
            x = net.op("relu", net.op("add", net.conv(x, 8, 1), net.batch_norm(net.conv(x, 8))))
        elif step == "concat":
            x = net.op("concat", x, net.op("relu", net.conv(x, 3, 1)))
        elif step == "gate":
            x = net.op(
                "mul", x, net.op("sigmoid", net.conv(net.op("global_avg_pool2d", x), net.channels(x), 1))
            )
        elif step == "scale":
            c = net.channels(x)
            x = net.op("sub", net.constant(f"c{len(net.built.nodes)}", rng.normal(0, 1, (c, 1, 1))), x)
        elif step == "pad":
            x = net.op("pad", x, padding=[1, 0, 0, 1])
        elif step == "dropout":
            x = net.op("dropout", x)
        elif step == "resize":
            x = net.op("resize", x, size=[6, 6])
        else:
            outputs.append(net.op("identity", x))
        assert x != before or step == "identity_output"
    if seed % 3:
        x = net.op("max_pool2d", x, kernel=[2, 2], stride=[2, 2], padding=[1] * 4)
    flat = net.op("flatten", x)
    graph = net.graph(net.linear(flat, 3), *outputs)
    for node, name, weight in list(graph.weights()):
        last = node is graph.nodes[-1]
        if not last:
            net.kill(name.removesuffix(".weight"), rng.random(weight.shape[0]) < kill)
            if silent and node.inputs[2]:
                graph.constants[node.inputs[2]][(weight == 0).reshape(len(weight), -1).all(1)] = 0
        net.kill(name.removesuffix(".weight"), rng.random(weight.shape[1]) < kill / 2, inputs=True)
    return graph


networks = st.builds(
    build,
    steps=st.lists(st.sampled_from(STEPS), min_size=2, max_size=10),
    seed=st.integers(0, 1000),
    kill=st.sampled_from([0.0, 0.3, 0.6, 0.9]),
    silent=st.booleans(),
)


def snapshot(graph: Graph) -> Graph:
    copy = graph.copy()
    copy.constants = {name: array.copy() for name, array in graph.constants.items()}
    return copy


@settings(max_examples=150)
@given(networks)
def test_reduced_network_computes_the_same(graph: Graph) -> None:
    original = snapshot(graph)
    reduced = reduce_channels(graph)
    assert_untouched(graph, original)
    assert_same(graph, reduced)
    before, after = run(graph, feed(graph), keep="all"), run(reduced, feed(graph), keep="all")
    for name, kept in kept_channels(graph).items():
        assert len(kept)
        assert_close(after[name], before[name][:, kept], name)


@settings(max_examples=150)
@given(networks)
def test_optimized_network_computes_the_same(graph: Graph) -> None:
    original = snapshot(graph)
    assert_same(graph, optimize(graph, reduce=False))
    optimized = optimize(graph)
    assert_untouched(graph, original)
    assert_same(graph, optimized)
    assert not {n.op for n in optimized.nodes} & {"batch_norm", "dropout"}
    assert sum(w.size for *_, w in optimized.weights()) <= sum(w.size for *_, w in graph.weights())
    assert optimize(optimized).nodes == optimized.nodes


@pytest.mark.parametrize("step", dict.fromkeys(PASSES), ids=lambda step: step.__name__)
@given(graph=networks)
def test_each_pass_alone_is_exact_idempotent_and_works_on_a_copy(step, graph: Graph) -> None:
    original = snapshot(graph)
    once = step(graph)
    assert_untouched(graph, original)
    assert_same(graph, once)
    twice = step(once)
    assert twice.nodes == once.nodes
    assert twice.constants.keys() == once.constants.keys()
