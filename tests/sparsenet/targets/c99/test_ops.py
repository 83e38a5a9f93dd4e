"""Every op that there is C for, against the reference; many in one program, which compiles once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sparsenet import Graph, Node, TensorInfo
from sparsenet.graph.ops import ACTIVATIONS, OPS
from sparsenet.graph.partial import whole_counts
from sparsenet.reference.oracle import compute
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.lower import LOWER
from tests.sparsenet.targets.c99.compiled import Compiled, assert_exports, assert_same, needs_compiler

Shape = tuple[int, ...]
#: Ops that are not defined for negative numbers.
POSITIVE = ("log", "sqrt", "pow")
TWO = ("add", "sub", "mul", "div", "maximum", "minimum", "greater", "less")


def number(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


#: (op, shapes of what is computed, constants behind them, attributes).
CASES: list[tuple[str, list[Shape], list[np.ndarray], dict[str, Any]]] = [
    *((op, [(3, 5, 7)], [], dict.fromkeys(entry.parameters, 0.5)) for op, entry in ACTIVATIONS.items() if op != "clip"),
    ("clip", [(3, 5, 7)], [], {"min": -0.5, "max": 0.5}),
    ("affine", [(3, 5, 7)], [number(1, 3), number(2, 3)], {}),
    ("affine", [(6,)], [number(1, 6), number(2, 6)], {}),
    ("batch_norm", [(3, 5, 7)], [number(1, 3), number(2, 3), number(3, 3), np.abs(number(4, 3))], {"eps": 1e-3}),
    *((op, [(3, 5, 7), (3, 5, 7)], [], {}) for op in TWO),
    *((op, [(3, 5, 7), (3, 1, 1)], [], {}) for op in ("add", "mul", "equal")),
    *((op, [(3, 5, 7), (1, 5, 1)], [], {}) for op in ("mul", "sub")),
    ("mul", [(3, 5, 7)], [number(1, 3, 1, 1)], {"epilogue": [["relu"]]}),
    ("mul", [(3, 5, 7)], [number(1, 1, 3, 5, 7)], {}),
    ("sub", [(4, 6)], [number(1, 6)], {"epilogue": [["tanh"]]}),
    ("mul", [(2, 3, 4)], [number(1, 1, 2, 3, 1), number(2, 2), number(3, 2)], {"epilogue": [["affine"]]}),
    ("mul", [(4, 6)], [number(1, 1, 4, 6), number(2, 4), number(3, 4)], {"epilogue": [["affine"]]}),
    ("mul", [(1, 3, 2, 4)], [number(1, 1, 3, 1, 4), number(2, 1), number(3, 1)], {"epilogue": [["affine"]]}),
    ("mul", [(2, 3, 2, 4)], [number(1, 1, 3, 1, 4), number(2, 2), number(3, 2)], {"epilogue": [["affine"]]}),
    ("pow", [(4, 6)], [np.full(1, 2, np.float32)], {}),
    ("where", [(3, 5, 7), (3, 5, 7), (3, 1, 1)], [], {}),
    ("max_pool2d", [(3, 9, 11)], [], {"kernel": [3, 3], "stride": [2, 1], "padding": [1, 1, 1, 1]}),
    ("max_pool2d", [(3, 12, 25)], [], {"kernel": [2, 2], "stride": [2, 2], "ceil_mode": True}),
    ("max_pool2d", [(2, 9, 14)], [], {"kernel": [2, 3], "stride": [1, 2], "dilation": [2, 3], "padding": [0, 1, 1, 2]}),
    ("avg_pool2d", [(3, 9, 11)], [], {"kernel": [3, 2], "stride": [2, 2], "padding": [1, 0, 1, 1]}),
    ("avg_pool2d", [(3, 9, 11)], [],
     {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1], "count_include_pad": False, "ceil_mode": True}),
    ("global_avg_pool2d", [(5, 4, 6)], [], {}),
    ("concat", [(3, 5, 7), (2, 5, 7), (4, 5, 7)], [], {}),
    ("concat", [(3, 5, 7), (3, 2, 7)], [], {"axis": 2}),
    ("concat", [(6, 4), (3, 4)], [], {"axis": 1}),
    ("resize", [(3, 5, 7)], [], {"size": [10, 21]}),
    ("resize", [(3, 5, 7)], [], {"size": [9, 4], "mode": "bilinear"}),
    ("resize", [(3, 5, 7)], [], {"size": [3, 14], "mode": "bilinear", "coordinates": "align_corners"}),
    ("transpose", [(3, 5, 7)], [], {"perm": [0, 2, 3, 1]}),
    ("slice", [(3, 5, 7)], [], {"axis": 3, "start": 6, "count": 3, "step": -2}),
    ("gather", [(3, 5, 7)], [], {"axis": 2, "indices": [4, 0, 0, 2]}),
    ("expand", [(3, 1, 7)], [], {"shape": [3, 4, 7]}),
    ("pad", [(3, 5, 7)], [], {"padding": [1, 2, 0, 3], "value": 1.5}),
    ("pad", [(3, 5, 7)], [], {"padding": [1, 2, 0, 3], "mode": "reflect"}),
    ("depth_to_space", [(12, 3, 4)], [], {"block": [2, 3]}),
    ("space_to_depth", [(3, 4, 6)], [], {"block": [2, 3], "depth_first": True}),
    ("flatten", [(3, 5, 7)], [], {}),
    ("reshape", [(3, 5, 8)], [], {"shape": [6, -1]}),
    ("identity", [(3, 5, 7)], [], {}),
    ("dropout", [(3, 5, 7)], [], {}),
    *(("reduce", [(3, 5, 7)], [], {"kind": kind, "axes": [2, 3]}) for kind in ("sum", "mean", "max", "min", "prod")),
    ("reduce", [(3, 5, 7)], [], {"kind": "mean", "axes": [1], "keepdims": False}),
    ("reduce", [(3, 5, 7)], [], {"kind": "max", "axes": [1, 3]}),
    ("reduce", [(3, 5, 7, 2)], [], {"kind": "sum", "axes": [2, 4]}),
    ("argmax", [(3, 5, 7)], [], {"axis": 1}),
    ("argmax", [(9,)], [], {"axis": 1, "last": True}),
    ("softmax", [(3, 5, 7)], [], {"axis": 1}),
    ("softmax", [(50, 2)], [], {"axis": 2}),
    ("normalize", [(3, 5, 7)], [], {"axis": 2}),
    ("matmul", [(2, 5, 7), (2, 7, 3)], [], {}),
    ("matmul", [(5, 7)], [number(1, 7, 3)], {}),
    ("linear", [(9,)], [number(1, 4, 9), number(2, 4)], {"epilogue": [["sigmoid"]]}),
    ("top_k", [(3, 5, 7)], [], {"axis": 2, "count": 4}),
    ("top_k", [(40,)], [], {"axis": 1, "count": 40, "largest": False}),
    ("gather_elements", [(4, 5, 6), (4, 30, 6)], [], {"axis": 2}),
    ("gather_nd", [(4, 5, 6), (30, 2)], [], {}),
    ("nms", [(2, 30, 4), (2, 3, 30)], [], {"count": 5, "iou_threshold": 0.2, "score_threshold": 0.1}),
    ("nms", [(1, 30, 4), (1, 2, 30)], [], {"count": 50, "iou_threshold": 0.1, "center": True}),
    ("nonzero", [(3, 4, 5)], [], {}),
    ("fill", [(5, 2, 4), (1,)], [], {"axis": 1, "value": -7.0}),
    ("first", [(2, 5, 4), (1,)], [], {"axis": 2}),
    ("first", [(5,), (1,)], [], {"axis": 1}),
]  # fmt: skip


def joined() -> Graph:
    """All cases as one network with many inputs and outputs."""
    graph = Graph("all", [], [], [])
    for k, (op, shapes, constants, attrs) in enumerate(CASES):
        names = [f"x{k}.{i}" for i in range(len(shapes))]
        graph.inputs += [TensorInfo(name, (None, *shape)) for name, shape in zip(names, shapes, strict=True)]
        more = [f"c{k}.{i}" for i in range(len(constants))]
        graph.constants.update(dict(zip(more, constants, strict=True)))
        graph.nodes.append(Node(op, f"n{k}", names + more, [f"y{k}"], attrs))
        graph.outputs.append(f"y{k}")
    graph.verify()
    return graph


def numbers_for(seed: int, op: str, place: str, shape: Shape) -> np.ndarray:
    """An input of a case: ordinary numbers, or what is difficult for its op."""
    array = number(seed, 1, *shape)
    if op in POSITIVE or place == "count":
        array = np.abs(array)
    if op in ("nonzero", "top_k"):
        array = np.maximum(array, 0)
    if place == "indices":
        array *= 3
        array.flat[:6] = (np.nan, np.inf, -np.inf, 1e30, -1e30, 2.5)
    return array


@needs_compiler
def test_every_op_computes_what_the_reference_does(tmp_path: Path) -> None:
    graph = joined()
    feeds = {}
    for k, info in enumerate(graph.inputs):
        case, _, place = info.name[1:].partition(".")
        op = CASES[int(case)][0]
        shape = tuple(int(d or 1) for d in info.shape[1:])
        feeds[info.name] = numbers_for(k, op, OPS[op].inputs[int(place) % len(OPS[op].inputs)], shape)
    network = Compiled(graph, tmp_path)
    counts = network.exported.plan.counts
    expected = compute(graph, feeds, [count.tensor for count in counts])
    found = network.context().run(*(feeds[info.name][0] for info in graph.inputs))
    for name, result, case in zip(graph.outputs, found[: len(CASES)], CASES, strict=True):
        try:
            assert_same(result, expected[name][0])
        except AssertionError as error:
            raise AssertionError(f"{case[0]} {case[3]}: {error}") from None
    valid = [whole_counts(expected[count.tensor], count.most) for count in counts]
    assert len(valid) == sum(case[0] == "first" for case in CASES)
    np.testing.assert_array_equal(found[len(CASES) :], valid)


def test_every_op_has_c_and_is_tried_here_or_in_a_network() -> None:
    assert {case[0] for case in CASES} | {"conv2d"} == set(LOWER) == set(OPS)


@needs_compiler
def test_windows_that_no_tile_fits(tmp_path: Path) -> None:
    """The mean of a dense layer of seven channels, a depthwise window of 31 columns, groups of a map whose channels are
    further apart than 16 bits tell, and the sum of it all, which is a single number.
    """
    constants = {
        "dense": number(1, 7, 64, 1, 1),
        "wide": number(2, 64, 1, 1, 31),
        "groups": number(3, 6, 32, 1, 1),
    }
    nodes = [
        Node("conv2d", "dense", ["x", "dense"], ["a"], {"stride": [2, 3]}),
        Node("global_avg_pool2d", "mean", ["a"], ["of_seven"], {}),
        Node(
            "conv2d",
            "wide",
            ["x", "wide"],
            ["of_31"],
            {"groups": 64, "padding": [0, 15, 0, 15], "stride": [8, 2]},
        ),
        Node("transpose", "there", ["x"], ["b"], {"perm": [0, 2, 3, 1]}),
        Node("transpose", "back", ["b"], ["c"], {"perm": [0, 3, 1, 2]}),
        Node("conv2d", "groups", ["c", "groups"], ["of_two"], {"groups": 2, "stride": [4, 4]}),
        Node("reduce", "sum", ["of_two"], ["alone"], {"axes": [1, 2, 3], "keepdims": False, "kind": "sum"}),
    ]
    outputs = ["of_seven", "of_31", "of_two", "alone"]
    assert_exports(Graph("odd", [TensorInfo("x", (None, 64, 32, 33))], outputs, nodes, constants), tmp_path)


def test_channels_of_two_added_maps_are_as_far_apart_as_each_says() -> None:
    body = Kernel("f32_conv_dense_rows", (2, 1, 1, 1), ("add", "add")).body
    assert all(f"(r{step} + 1u * a->residual_channel_{step})" in body for step in (0, 1))
