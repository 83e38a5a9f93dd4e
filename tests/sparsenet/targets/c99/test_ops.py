"""Every op that there is C for, against the reference; many in one program, which compiles once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.graph.ops import ACTIVATIONS, OPS
from sparsenet.targets.c99.lower import LOWER
from tests.sparsenet.targets.c99.compiled import Compiled, assert_same, needs_compiler

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
    ("argmax", [(3, 5, 7)], [], {"axis": 1}),
    ("argmax", [(9,)], [], {"axis": 1, "last": True}),
    ("softmax", [(3, 5, 7)], [], {"axis": 1}),
    ("softmax", [(50, 2)], [], {"axis": 2}),
    ("normalize", [(3, 5, 7)], [], {"axis": 2}),
    ("matmul", [(2, 5, 7), (2, 7, 3)], [], {}),
    ("matmul", [(5, 7)], [number(1, 7, 3)], {}),
    ("linear", [(9,)], [number(1, 4, 9), number(2, 4)], {"epilogue": [["sigmoid"]]}),
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


@needs_compiler
def test_every_op_computes_what_the_reference_does(tmp_path: Path) -> None:
    graph = joined()
    feeds = {}
    for k, info in enumerate(graph.inputs):
        feeds[info.name] = number(k, 1, *(int(d or 1) for d in info.shape[1:]))
        if CASES[int(info.name[1:].partition(".")[0])][0] in POSITIVE:
            feeds[info.name] = np.abs(feeds[info.name])
    expected = reference.run(graph, feeds)
    context = Compiled(graph, tmp_path).context()
    found = context.run(*(feeds[info.name][0] for info in graph.inputs))
    for name, result, case in zip(graph.outputs, found, CASES, strict=True):
        try:
            assert_same(result, expected[name][0])
        except AssertionError as error:
            raise AssertionError(f"{case[0]} {case[3]}: {error}") from None


def test_every_op_with_c_is_tried_here_or_in_a_network() -> None:
    assert {case[0] for case in CASES} | {"conv2d"} == set(LOWER)
    assert set(LOWER) < set(OPS)
