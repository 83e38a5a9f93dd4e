"""Which nodes are worth their borders with float32: the best of all choices, and all where there is no border."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from sparsenet.graph import Graph, Node, TensorInfo
from sparsenet.graph.borders import INTO_INTEGERS, OUT_OF_INTEGERS, READ, worth_their_borders
from sparsenet.graph.ops import OPS
from sparsenet.graph.quantization import Quantization

PIXELS = 5


def graph_of(nodes: list[Node], outputs: list[str], **weights: np.ndarray) -> Graph:
    constants = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    graph = Graph("g", [TensorInfo("x", (None, 4, 1, PIXELS))], outputs, nodes, constants)
    graph.verify()
    graph.quantization = {
        name: Quantization.of_activations(1.0, 0) for name in graph.shapes() if name not in constants
    }
    return graph


def weight(nonzero: int) -> np.ndarray:
    numbers = np.zeros(4 * 4)
    numbers[:nonzero] = 1
    return numbers.reshape(4, 4, 1, 1)


def between(nonzero: int) -> Graph:
    """A convolution between two functions that integers cannot compute."""
    nodes = [
        Node("softmax", "before", ["x"], ["a"], {"axis": 1}),
        Node("conv2d", "conv", ["a", "w"], ["b"]),
        Node("softmax", "behind", ["b"], ["y"], {"axis": 1}),
    ]
    return graph_of(nodes, ["y"], w=weight(nonzero))


def test_a_layer_pays_for_its_borders_or_stays_float32() -> None:
    cost = 4 * (INTO_INTEGERS + OUT_OF_INTEGERS)  # for each pixel, as the savings
    assert cost == 72
    for graph, expected in ((between(16), set()), (between(1), set())):
        assert worth_their_borders(graph, graph.shapes(), {"conv"}) == expected
    graph = between(16)
    graph.constants["w"] = np.ones(
        (4, 4, 1, 5), np.float32
    )  # 16 products become 80: one result, five numbers read
    graph.nodes[1].attrs["padding"] = [0, 2, 0, 2]
    assert worth_their_borders(graph, graph.shapes(), {"conv"}) == {"conv"}


def test_where_nothing_is_float32_between_all_are_integers() -> None:
    nodes = [Node("conv2d", "conv", ["x", "w"], ["a"]), Node("relu", "r", ["a"], ["y"])]
    graph = graph_of(nodes, ["a", "y"], w=weight(0))
    assert worth_their_borders(graph, graph.shapes(), {"conv", "r"}) == {"conv", "r"}


def cost_of(graph: Graph, possible: set[str], chosen: set[str]) -> int:
    """Savings lost and borders crossed, counted as they are told."""
    shapes, total = graph.shapes(), 0
    size = dict.fromkeys(shapes, 4 * PIXELS)
    for node in graph.nodes:
        if node.name in possible - chosen:
            kernel = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
            if node.op == "conv2d":
                assert kernel is not None
                total += int(np.count_nonzero(kernel)) * PIXELS
            else:
                total += READ[OPS[node.op].integer] * sum(size[name] for name in node.inputs)
        readers = [other for other in graph.nodes if node.output in other.inputs]
        if any((other.name in chosen) != (node.name in chosen) for other in readers):
            each = OUT_OF_INTEGERS if node.name in chosen else INTO_INTEGERS
            total += each * size[node.output]
    return total


@pytest.mark.parametrize("seed", range(12))
def test_no_other_choice_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes, weights, tensors, possible = [], {}, ["x"], set()
    for number in range(7):
        name, read = f"n{number}", [tensors[i] for i in rng.integers(max(0, number - 2), number + 1, 2)]
        kind = rng.choice(["conv2d", "conv2d", "add", "relu", "softmax"])
        if kind == "conv2d":
            weights[f"w{number}"] = weight(int(rng.integers(0, 17))).repeat(5, axis=3)
            nodes.append(Node(kind, name, [read[0], f"w{number}"], [f"t{number}"], {"padding": [0, 2, 0, 2]}))
        elif kind == "add":
            nodes.append(Node(kind, name, read, [f"t{number}"]))
        else:
            attrs = {"axis": 1} if kind == "softmax" else {}
            nodes.append(Node(kind, name, read[:1], [f"t{number}"], attrs))
        if kind != "softmax" and rng.random() < 0.9:
            possible.add(name)
        tensors.append(f"t{number}")
    graph = graph_of(nodes, tensors[-1:], **weights)
    found = worth_their_borders(graph, graph.shapes(), possible)
    names = sorted(possible)
    costs = {
        frozenset(chosen): cost_of(graph, possible, chosen)
        for keep in product([False, True], repeat=len(names))
        for chosen in [{name for name, kept in zip(names, keep, strict=True) if kept}]
    }
    assert costs[found] == min(costs.values())
    assert len(found) == max(len(chosen) for chosen, cost in costs.items() if cost == costs[found])
