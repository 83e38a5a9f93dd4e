"""Tensors that meet in a concatenation are rounded to one grid: all in integers, within a step of the grid."""

from __future__ import annotations

import numpy as np

from converters.passes.common_grids import common_grids
from sparsenet import Graph, reference
from sparsenet.graph.integer import possible_in_integers
from tests.converters.passes.networks import Net
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.quantized import quantized


def assert_near(before: Graph, after: Graph, steps: float) -> None:
    after.verify()
    assert possible_in_integers(after, after.shapes()) == {node.name for node in after.nodes}
    feeds = random_feeds(before, seed=1)  # whose ranges the grids have
    wanted, got = (reference.run(graph, feeds) for graph in (before, after))
    for name in before.outputs:
        step = float(before.quantization[name].scale)
        assert np.abs(wanted[name] - got[name]).max() / step <= steps + 1e-3


def test_a_concatenation_of_tensors_with_grids_of_their_own() -> None:
    net = Net()
    a = net.op("max_pool2d", net.conv("x", 8, name="a"), kernel=[1, 1], stride=[1, 1])
    b = net.op("relu", net.conv("x", 4, name="b"))
    both = net.op("concat", a, b, axis=1, name="both")
    other = net.op("concat", b, net.conv("x", 4, 1, name="c"), axis=1, name="other")
    graph = net.graph(both, other)
    unlike = quantized(graph)
    for scale, name in ((1.2, "a.y"), (1.2, a), (1.6, b), (1.1, "c.y")):
        grid = unlike.quantization[name]
        unlike.quantization[name] = type(grid).of_activations(scale * float(grid.scale), grid.zero_point)
    assert len(possible_in_integers(unlike, unlike.shapes())) < len(unlike.nodes)
    joined = common_grids(unlike)
    assert [node.op for node in joined.nodes].count("clip") == 1, "b is read twice, for one grid"
    assert joined.nodes[0].epilogue[-1][0] == "clip", "what its own grid would cut off is cut off"
    assert_near(unlike, joined, steps=3)
    assert common_grids(joined).nodes == joined.nodes
