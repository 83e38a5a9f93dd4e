"""A small network with everything that quantization has to think of, and inputs for it."""

from __future__ import annotations

import numpy as np

from converters import passes
from sparsenet.graph import FloatArray, Graph
from tests.converters.passes.networks import Net


def mixed() -> Graph:
    """Optimized: a residual block, tables, tensors that must share a grid, a scaling, a gate and a softmax."""
    net = Net((3, 16, 16), seed=3)
    x = net.conv("x", 8, 3, name="stem", stride=[2, 2], epilogue=[["relu"]])
    y = net.op("silu", net.conv(net.op("relu", net.batch_norm(net.conv(x, 8, 1))), 8, 3, name="block"))
    y = net.op("add", y, x, name="sum", epilogue=[["clip", -1.0, 6.0]])
    pooled = net.op("max_pool2d", y, name="pool", kernel=[3, 3], stride=[2, 2], padding=[1, 1, 1, 1])
    other = net.op("max_pool2d", x, name="pool2", kernel=[2, 2], stride=[2, 2])
    z = net.op("hard_swish", net.affine(net.op("concat", pooled, other, name="join", axis=1), name="scaling"))
    z = net.depthwise(z, name="depthwise")
    gate = net.op("sigmoid", net.conv(net.op("global_avg_pool2d", z), 16, 1, name="gate"))
    z = net.conv(net.op("mul", z, gate, name="gated"), 12, 1, name="late")
    return passes.optimize(net.graph(net.op("softmax", net.head(z), name="softmax", axis=1)), reduce=False)


def images(count: int = 12, seed: int = 0) -> list[FloatArray]:
    """Batches of four."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((4, 3, 16, 16), np.float32) for _ in range(count // 4)]
