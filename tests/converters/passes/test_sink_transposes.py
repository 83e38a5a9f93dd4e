"""Transpositions meet and cancel; whatever stays computes the same."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import from_torch, passes
from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.sink_transposes import sink_transposes
from sparsenet import Graph, Node, TensorInfo, reference
from tests.converters.architectures import ConvNeXtBlock

RNG = np.random.default_rng(4)


def assert_same(graph: Graph, changed: Graph) -> None:
    feeds = {t.name: RNG.standard_normal((2, *t.shape[1:])).astype(np.float32) for t in graph.inputs}
    changed.verify()
    for name, wanted in reference.run(graph, feeds).items():
        np.testing.assert_allclose(reference.run(changed, feeds)[name], wanted, rtol=1e-6, atol=1e-7)


def chain(*nodes: Node, outputs: list[str]) -> Graph:
    constants = {"c": RNG.standard_normal((3,)).astype(np.float32), "d": np.full((1,), 2, np.float32)}
    graph = Graph("turned", [TensorInfo("x", (None, 3, 4, 5))], outputs, list(nodes), constants)
    graph.drop_unused_constants()
    graph.verify()
    return graph


TO_LAST, TO_FIRST = {"perm": [0, 2, 3, 1]}, {"perm": [0, 3, 1, 2]}


def test_there_and_back_is_nothing() -> None:
    graph = chain(
        Node("transpose", "t", ["x"], ["a"], dict(TO_LAST)),
        Node("mul", "m", ["c", "a"], ["b"]),
        Node("gelu", "g", ["b"], ["e"]),
        Node("div", "d", ["d", "e"], ["f"]),
        Node("transpose", "u", ["f"], ["y"], dict(TO_FIRST)),
        outputs=["y"],
    )
    changed = sink_transposes(graph)
    assert [node.op for node in changed.nodes] == ["mul", "gelu", "div"] + ["identity"] * (
        changed.nodes[-1].op == "identity"
    )
    assert_same(graph, changed)


def test_what_is_read_twice_moves_once() -> None:
    graph = chain(
        Node("transpose", "t", ["x"], ["a"], dict(TO_LAST)),
        Node("relu", "r", ["a"], ["b"]),
        Node("add", "s", ["a", "b"], ["y"]),
        outputs=["y"],
    )
    changed = sink_transposes(graph)
    assert [node.op for node in changed.nodes] == ["relu", "add", "transpose"]
    assert_same(graph, changed)


def test_a_gated_block_keeps_none() -> None:
    """Channels-last halves, one of them through a convolution, joined and multiplied again."""
    weight = RNG.standard_normal((2, 2, 1, 1)).astype(np.float32)
    graph = Graph(
        "gated",
        [TensorInfo("x", (None, 8, 4, 5))],
        ["y"],
        [
            Node("transpose", "t", ["x"], ["a"], dict(TO_LAST)),
            Node("slice", "s0", ["a"], ["g"], {"axis": 3, "start": 0, "count": 4}),
            Node("slice", "s1", ["a"], ["i"], {"axis": 3, "start": 4, "count": 2}),
            Node("slice", "s2", ["a"], ["c"], {"axis": 3, "start": 6, "count": 2}),
            Node("transpose", "u", ["c"], ["d"], dict(TO_FIRST)),
            Node("conv2d", "v", ["d", "w"], ["e"]),
            Node("transpose", "l", ["e"], ["f"], dict(TO_LAST)),
            Node("concat", "j", ["i", "f"], ["h"], {"axis": 3}),
            Node("sigmoid", "z", ["g"], ["k"]),
            Node("mul", "p", ["g", "k"], ["m"]),
            Node("mul", "q", ["m", "h"], ["n"]),
            Node("greater", "r", ["n", "m"], ["o"]),
            Node("where", "b", ["o", "n", "c0"], ["s"]),
            Node("transpose", "back", ["s"], ["y"], dict(TO_FIRST)),
        ],
        {"w": weight, "c0": RNG.standard_normal((4, 5, 4)).astype(np.float32)},
    )
    graph.verify()
    changed = sink_transposes(graph)
    assert not [node for node in changed.nodes if node.op == "transpose"]
    assert_same(graph, changed)


def transposed_numbers(graph: Graph) -> int:
    shapes = graph.shapes()
    return sum(prod(shapes[node.output][1:]) for node in graph.nodes if node.op == "transpose")


@pytest.mark.parametrize("counts, moved", [([2, 2], True), ([3, 4, 4], False)], ids=["halves", "overlapping"])
def test_slices_move_unless_more_would_be_transposed(counts: list[int], moved: bool) -> None:
    slices = [
        Node("slice", f"s{i}", ["a"], [f"y{i}"], {"axis": 1, "start": min(2 * i, 4 - n), "count": n})
        for i, n in enumerate(counts)
    ]
    graph = chain(
        Node("transpose", "t", ["x"], ["a"], dict(TO_LAST)), *slices, outputs=[s.output for s in slices]
    )
    changed = sink_transposes(graph)
    assert (changed.nodes[0].op == "slice") == moved
    assert transposed_numbers(changed) <= transposed_numbers(graph)
    assert_same(graph, changed)


def test_what_grows_behind_a_transposition_stays() -> None:
    graph = Graph(
        "grows",
        [TensorInfo("x", (None, 3, 1, 1))],
        ["y"],
        [
            Node("transpose", "t", ["x"], ["a"], dict(TO_LAST)),
            Node("mul", "m", ["a", "c"], ["b"]),
            Node("relu", "r", ["b"], ["y"]),
        ],
        {"c": RNG.standard_normal((6, 7, 3)).astype(np.float32)},
    )
    graph.verify()
    assert [node.op for node in sink_transposes(graph).nodes] == ["transpose", "mul", "relu"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_network_computes_the_same_and_transposes_no_more(data: st.DataObject) -> None:
    rank = data.draw(st.integers(2, 4))
    first = tuple(data.draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank)))
    shapes, nodes, constants = {"x": first, "z": first}, list[Node](), dict[str, np.ndarray]()
    for n in range(data.draw(st.integers(3, 14))):
        x = data.draw(st.sampled_from(list(shapes)))
        shape, op = (
            shapes[x],
            data.draw(st.sampled_from(["turn", "turn", "relu", "two", "c", "slice", "join"])),
        )
        alike = [name for name, other in shapes.items() if other == shape]
        axis = data.draw(st.integers(1, rank))
        if op == "turn":
            perm = data.draw(st.permutations(range(rank)))
            node, out = (
                Node("transpose", f"n{n}", [x], [f"t{n}"], {"perm": [0, *(p + 1 for p in perm)]}),
                None,
            )
            out = tuple(shape[p] for p in perm)
        elif op == "two":
            other = data.draw(st.sampled_from(alike))
            node, out = Node("sub", f"n{n}", [x, other], [f"t{n}"]), shape
        elif op == "c":
            constants[f"c{n}"] = RNG.standard_normal(shape[1:]).astype(np.float32)
            node, out = Node("sub", f"n{n}", [f"c{n}", x], [f"t{n}"]), shape
        elif op == "slice":
            count = data.draw(st.integers(1, shape[axis - 1]))
            start = data.draw(st.integers(0, shape[axis - 1] - count))
            node = Node("slice", f"n{n}", [x], [f"t{n}"], {"axis": axis, "start": start, "count": count})
            out = (*shape[: axis - 1], count, *shape[axis:])
        elif op == "join":
            node = Node("concat", f"n{n}", [x, data.draw(st.sampled_from(alike))], [f"t{n}"], {"axis": axis})
            out = (*shape[: axis - 1], 2 * shape[axis - 1], *shape[axis:])
        else:
            node, out = Node("relu", f"n{n}", [x], [f"t{n}"]), shape
        nodes.append(node)
        shapes[node.output] = out
    outputs = data.draw(st.sets(st.sampled_from([node.output for node in nodes]), min_size=1)) | {
        nodes[-1].output
    }
    inputs = [TensorInfo(name, (None, *first)) for name in ("x", "z")]
    graph = eliminate_dead(Graph("any", inputs, sorted(outputs), nodes, constants))
    changed = sink_transposes(graph)
    assert transposed_numbers(changed) <= transposed_numbers(graph)
    changed.verify()
    feeds = {t.name: RNG.standard_normal((2, *first)).astype(np.float32) for t in graph.inputs}
    for name, wanted in reference.run(graph, feeds).items():
        assert np.array_equal(reference.run(changed, feeds)[name], wanted)


def test_outputs_keep_their_order_of_axes() -> None:
    graph = chain(
        Node("transpose", "t", ["x"], ["a"], dict(TO_LAST)),
        Node("relu", "r", ["a"], ["y"]),
        Node("transpose", "u", ["y"], ["z"], dict(TO_LAST)),
        outputs=["y", "z"],
    )
    assert_same(graph, sink_transposes(graph))


def test_a_channels_last_perceptron_is_two_fused_convolutions() -> None:
    torch.manual_seed(0)
    raw = from_torch(ConvNeXtBlock(8), torch.randn(1, 8, 6, 5), optimize=False)
    optimized = passes.optimize(raw)
    assert_same(raw, optimized)
    ops = [node.op for node in optimized.nodes]
    assert ops.count("transpose") == 2  # around the normalization over channels
    assert [n.epilogue[0][0] for n in optimized.nodes if n.op == "conv2d" and n.epilogue] == ["gelu", "add"]
