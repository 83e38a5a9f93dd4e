"""A scaling by channel in integers: the same numbers, within a step of rounding."""

from __future__ import annotations

import numpy as np
import pytest

from converters.passes.lines_in_integers import lines_in_integers
from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.quantization import Quantization


def _graph(*grids: str) -> Graph:
    node = Node("affine", "a", ["x", "s", "t"], ["y"], {"epilogue": [["clip", -2.0, 3.0]]})
    constants = {"s": np.float32([0.5, -1.3, 0.0, 7e-3]), "t": np.float32([0.1, -0.2, 0.3, 0.0])}
    graph = Graph("one", [TensorInfo("x", (None, 4, 5, 6))], ["y"], [node], constants)
    known = {"x": Quantization.of_activations(0.03, 120), "y": Quantization.of_activations(0.02, 100)}
    graph.quantization = {name: known[name] for name in grids}
    graph.verify()
    return graph


def test_it_runs_in_integers_within_a_step() -> None:
    graph = _graph("x", "y")
    other = lines_in_integers(graph)
    assert integer_nodes(other, other.verify().shapes) == {"a"}
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6)).astype(np.float32)
    rounded = graph.quantization["x"].numbers(graph.quantization["x"].round(x))
    got, wanted = (reference.run(g, {"x": rounded})["y"] for g in (other, graph))
    assert np.abs(got - wanted).max() <= 0.01 + 1e-6
    np.testing.assert_allclose(
        other.constants[other.nodes[0].inputs[1]].ravel(), graph.constants["s"], rtol=2e-7
    )


def test_it_joins_the_layer_before_it_within_a_step() -> None:
    rng = np.random.default_rng(0)
    graph = _graph("x", "y")
    graph.nodes.insert(0, Node("conv2d", "c", ["image", "w", "b"], ["x"], {"epilogue": [["relu"]]}))
    grid = Quantization.of_weights(np.float32([0.01, 0.02, 0.03, 0.04]))
    graph.inputs = [TensorInfo("image", (None, 8, 5, 6))]
    graph.constants["w"] = grid.numbers(rng.integers(-128, 128, (4, 8, 1, 1)))
    graph.constants["b"] = np.float32([0.1, -0.2, 0.3, 0.0])
    graph.quantization |= {"w": grid, "image": Quantization.of_activations(0.01, 128)}
    other = lines_in_integers(graph)
    assert [node.epilogue for node in other.nodes] == [
        [["relu"], ["clip", pytest.approx(-3.6), pytest.approx(4.05)], ["affine"], ["clip", -2.0, 3.0]]
    ]
    assert integer_nodes(other, other.verify().shapes) == {"c"}
    feeds = {"image": rng.standard_normal((2, 8, 5, 6)).astype(np.float32)}
    got, wanted = (reference.run(g, feeds)["y"] for g in (other, graph))
    steps = np.abs(got - wanted) / graph.quantization["y"].scale
    assert steps.max() <= 0.5 + 0.5 * 0.03 / 0.02 * 1.3 + 1e-3  # half a step of each grid
    assert len(np.unique(wanted)) > 50


@pytest.mark.parametrize("grids", [(), ("x",), ("y",)])
def test_it_stays_where_a_tensor_is_not_quantized(grids: tuple[str, ...]) -> None:
    assert [node.op for node in lines_in_integers(_graph(*grids)).nodes] == ["affine"]
