"""Grids of no meaning: the same nodes in integers as quantizing finds, the same zeros."""

from __future__ import annotations

import numpy as np

from converters.quantization.annotate import in_bytes
from converters.quantization.order import ordered_for_quads
from converters.quantization.quantize import quantize
from sparsenet.engine import Engine
from sparsenet.graph.integer import integer_nodes
from tests.converters.quantization.networks import images, mixed


def test_it_is_built_as_a_quantized_network_is() -> None:
    graph = mixed()
    weight = graph.constants["block.weight"]
    weight[np.abs(weight) < 0.2] = 0
    fast = in_bytes(graph)
    careful, _ = ordered_for_quads(quantize(graph, images(), threads=1))
    assert [(n.name, n.op, n.attrs) for n in fast.nodes] == [(n.name, n.op, n.attrs) for n in careful.nodes]
    in_integers = [integer_nodes(one, one.shapes()) for one in (fast, careful)]
    assert in_integers[0] == in_integers[1]
    assert len(in_integers[0]) >= 12
    zeros = [np.flatnonzero(one.constants["block.weight"] == 0).tolist() for one in (fast, careful)]
    assert zeros[0] == zeros[1]
    assert not graph.quantization, "the network itself is left alone"
    engine = Engine(fast, 1)
    assert all(np.isfinite(array).all() for array in engine.run({"x": images(4)[0]}).values())
    engine.close()
