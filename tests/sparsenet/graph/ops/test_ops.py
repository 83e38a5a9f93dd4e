"""The op table: what a node may look like, and the shape rule of every op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from sparsenet import Node
from sparsenet.errors import GraphError
from sparsenet.graph import Shape
from sparsenet.graph.ops import (
    ACTIVATIONS,
    FUSED_OP_TENSORS,
    OPS,
    REQUIRED,
    OpSchema,
    attributes,
    check_node,
    infer_shape,
    split_inputs,
)
from sparsenet.graph.ops.windows import conv_output_size
from sparsenet.reference import OPERATIONS

X: Shape = (None, 4, 9, 7)


def shape_of(op: str, *shapes: Shape | None, epilogue: list[Any] | None = None, **attrs: Any) -> Shape:
    """The inferred shape of a node whose inputs have these shapes."""
    names = [f"t{i}" if shape is not None else "" for i, shape in enumerate(shapes)]
    node = Node(op, "n", names, ["y"], attrs | ({"epilogue": epilogue} if epilogue else {}))
    check_node(node)
    return infer_shape(node, list(shapes), {})


def test_every_activation_is_an_op_with_its_parameters() -> None:
    for word, activation in ACTIVATIONS.items():
        assert OPS[word].defaults == dict.fromkeys(activation.parameters, REQUIRED)
    assert not set(ACTIVATIONS) & set(FUSED_OP_TENSORS)


@pytest.mark.parametrize("schema", OPS.values(), ids=list(OPS))
def test_traits_that_rest_on_others(schema: OpSchema) -> None:
    assert schema.per_channel or not schema.per_pixel
    assert schema.elementwise or not schema.arithmetic
    assert schema.arithmetic or not schema.zero_absorbing
    assert "axis" in schema.attrs or not schema.along_axis
    assert (schema.along_axis and schema.variadic) or not schema.joins
    assert {"stride", "padding"} <= schema.attrs.keys() or not schema.windowed


@pytest.mark.parametrize("op", [op for op, schema in OPS.items() if schema.zero_absorbing])
def test_zero_times_anything_is_zero(op: str) -> None:
    zero, x = np.zeros((1, 3)), np.array([[-2.5, 0.0, 1e30]])
    assert not OPERATIONS[op]([zero, x], {}).any()
    assert not OPERATIONS[op]([x, zero], {}).any()


def test_attributes_fill_in_defaults_without_touching_the_node() -> None:
    node = Node("conv2d", "n", ["x", "w"], ["y"], {"stride": [2, 2]})
    assert attributes(node) == {"stride": [2, 2], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}
    assert node.attrs == {"stride": [2, 2]}


@pytest.mark.parametrize(
    "op, inputs, epilogue, own, extra",
    [
        ("conv2d", ["x", "w"], [], ["x", "w", ""], []),
        ("conv2d", ["x", "w", "b"], [["relu"]], ["x", "w", "b"], []),
        ("conv2d", ["x", "w", "", "s", "t"], [["affine"]], ["x", "w", ""], ["s", "t"]),
        (
            "conv2d",
            ["x", "w", "s", "t", "r"],
            [["affine"], ["relu"], ["add"]],
            ["x", "w", ""],
            ["s", "t", "r"],
        ),
        ("add", ["a", "b", "c"], [["add"]], ["a", "b"], ["c"]),
        ("concat", ["a", "b", "c"], [], ["a", "b", "c"], []),
    ],
)
def test_split_inputs(
    op: str, inputs: list[str], epilogue: list[Any], own: list[str], extra: list[str]
) -> None:
    attrs = {"epilogue": epilogue} if epilogue else {}
    assert split_inputs(Node(op, "n", inputs, ["y"], attrs)) == (own, extra)


@pytest.mark.parametrize(
    "node, message",
    [
        (Node("magic", "n", ["x"], ["y"]), "'n' has unknown op 'magic'; sparsenet.graph.ops.OPS lists"),
        (Node("relu", "n", ["x"], ["y", "z"]), "2 outputs, expected 1"),
        (Node("relu", "n", ["x"], []), "0 outputs, expected 1"),
        (Node("relu", "n", [], ["y"]), "lacks its input 'x'"),
        (Node("relu", "n", ["x", "z"], ["y"]), "2 inputs, expected at most 1"),
        (Node("conv2d", "n", ["x", ""], ["y"]), "lacks its input 'weight'"),
        (
            Node("conv2d", "n", ["x", "w"], ["y"], {"strides": [1, 1]}),
            "unknown attribute 'strides'; known: dil",
        ),
        (Node("relu", "n", ["x"], ["y"], {"epilogue": [["relu"]]}), "unknown attribute 'epilogue'"),
        (Node("clip", "n", ["x"], ["y"], {"min": 0}), "lacks the attribute 'max'"),
        (Node("concat", "n", [], ["y"]), "has no inputs"),
        (Node("concat", "n", ["a", ""], ["y"]), "has no inputs, or an absent one"),
        (
            Node("add", "n", ["a", "b"], ["y"], {"epilogue": [["magic"]]}),
            r"unknown epilogue step \['magic'\]",
        ),
        (Node("add", "n", ["a", "b"], ["y"], {"epilogue": ["relu"]}), "unknown epilogue step 'relu'"),
        (Node("add", "n", ["a", "b"], ["y"], {"epilogue": [["clip", 0]]}), "wrong number of parameters"),
        (Node("add", "n", ["a", "b"], ["y"], {"epilogue": [["relu", 0]]}), "wrong number of parameters"),
        (Node("add", "n", ["a", "b"], ["y"], {"epilogue": [["affine"]]}), "too few inputs for its epilogue"),
        (Node("add", "n", ["a", "b"], ["y"], {"epilogue": [["add"]]}), "lacks its input 'b'"),
    ],
)
def test_malformed_nodes_are_named(node: Node, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        check_node(node)


@pytest.mark.parametrize(
    "op, shapes, attrs, expected",
    [
        ("conv2d", [X, (8, 4, 3, 3)], {}, (None, 8, 7, 5)),
        ("conv2d", [X, (8, 4, 3, 3), (8,)], {"padding": [1, 1, 1, 1], "stride": [2, 2]}, (None, 8, 5, 4)),
        ("conv2d", [X, (8, 2, 1, 1)], {"groups": 2}, (None, 8, 9, 7)),
        ("conv2d", [X, (4, 1, 3, 3)], {"groups": 4, "dilation": [4, 3]}, (None, 4, 1, 1)),
        ("linear", [(None, 6), (5, 6), (5,)], {}, (None, 5)),
        ("batch_norm", [X, (4,), (4,), (4,), (4,)], {}, X),
        ("affine", [(None, 4), (4,), (4,)], {}, (None, 4)),
        ("max_pool2d", [X], {"kernel": [3, 3], "stride": [2, 2], "padding": [0, 0, 1, 1]}, (None, 4, 4, 3)),
        ("avg_pool2d", [X], {"kernel": [2, 2], "stride": [2, 2], "ceil_mode": True}, (None, 4, 5, 4)),
        ("global_avg_pool2d", [X], {}, (None, 4, 1, 1)),
        ("add", [X, (4, 1, 1)], {}, X),
        ("mul", [(1,), X], {}, X),
        ("sub", [X, ()], {}, X),
        ("add", [(None, 4, 1, 1), X], {}, X),
        ("softmax", [(None, 4)], {}, (None, 4)),
        ("concat", [X, (None, 2, 9, 7), X], {}, (None, 10, 9, 7)),
        ("concat", [X, (None, 4, 9, 1)], {"axis": 3}, (None, 4, 9, 8)),
        ("flatten", [X], {}, (None, 252)),
        ("reshape", [X], {"shape": [-1, 7]}, (None, 36, 7)),
        ("reshape", [X], {"shape": [252]}, (None, 252)),
        ("transpose", [X], {"perm": [0, 3, 1, 2]}, (None, 7, 4, 9)),
        ("depth_to_space", [(None, 12, 5, 7)], {"block": [2, 3]}, (None, 2, 10, 21)),
        ("space_to_depth", [(None, 2, 10, 21)], {"block": [2, 3]}, (None, 12, 5, 7)),
        ("pad", [X], {"padding": [1, 2, 3, 4]}, (None, 4, 13, 13)),
        ("resize", [X], {"size": [18, 3]}, (None, 4, 18, 3)),
        ("identity", [X], {}, X),
        ("dropout", [X], {}, X),
    ],
)
def test_shapes(op: str, shapes: list[Shape], attrs: dict[str, Any], expected: Shape) -> None:
    assert shape_of(op, *shapes, **attrs) == expected


@pytest.mark.parametrize(
    "op, shapes, attrs, message",
    [
        ("conv2d", [(None, 4), (8, 4, 3, 3)], {}, r"x must be \(N, C, H, W\)"),
        ("conv2d", [X, (8, 4, 3)], {}, "weight must be"),
        ("conv2d", [X, (8, 3, 3, 3)], {}, "groups=1 does not fit 4 input channels"),
        ("conv2d", [X, (9, 2, 3, 3)], {"groups": 2}, "groups=2 does not fit"),
        ("conv2d", [X, (8, 4, 3, 3)], {"groups": 0}, "groups=0"),
        ("conv2d", [X, (8, 4, 3, 3), (4,)], {}, r"bias must be \(8,\), got \(4,\)"),
        ("conv2d", [X, (8, 4, 11, 3)], {}, "does not fit into"),
        ("conv2d", [X, (8, 4, 3, 3)], {"stride": [0, 1]}, "stride must be 2 integers >= 1"),
        ("conv2d", [X, (8, 4, 3, 3)], {"padding": [1, 1]}, "padding must be 4 integers >= 0"),
        ("conv2d", [X, (8, 4, 3, 3)], {"padding": [0, 0, -1, 0]}, "padding must be 4 integers"),
        ("conv2d", [X, (8, 4, 3, 3)], {"dilation": [1.0, 1]}, "dilation must be 2 integers"),
        ("linear", [X, (5, 252)], {}, "expected x"),
        ("linear", [(None, 6), (5, 7)], {}, "expected x"),
        ("batch_norm", [X, (4,), (4,), (4,), (1,)], {}, r"per-channel tensors must be \(4,\)"),
        ("affine", [(None, 4, 9), (4,), (4,)], {}, "x must be"),
        (
            "max_pool2d",
            [X],
            {"kernel": [2, 2], "stride": [1, 1], "padding": [2, 0, 0, 0]},
            "smaller than the kernel",
        ),
        ("max_pool2d", [X], {"kernel": [10, 2], "stride": [1, 1]}, "does not fit into"),
        ("add", [X, (4,)], {}, "do not broadcast"),
        ("concat", [X, (None, 4, 9)], {}, "cannot concatenate"),
        ("concat", [X, (None, 4, 8, 7)], {}, "cannot concatenate"),
        ("concat", [X, X], {"axis": 0}, "axis must be an integer from 1 to 3, got 0"),
        ("concat", [X, X], {"axis": -1}, "axis must be an integer from"),
        ("reshape", [X], {"shape": [-1, -1]}, "one of them possibly -1"),
        ("reshape", [X], {"shape": [5, -1]}, "cannot reshape"),
        ("reshape", [X], {"shape": [0]}, "positive sizes"),
        ("transpose", [X], {"perm": [1, 0, 2, 3]}, "leave the batch first"),
        ("transpose", [X], {"perm": [0, 1, 1, 3]}, "perm must reorder"),
        ("softmax", [X], {"axis": 4}, "axis must be an integer from 1 to 3"),
        ("depth_to_space", [X], {"block": [2, 3]}, "4 channels cannot be arranged in blocks of 2 x 3"),
        ("depth_to_space", [(None, 4)], {"block": [2, 2]}, "x must be"),
        ("space_to_depth", [X], {"block": [3, 2]}, "an image of 9 x 7 cannot be cut into blocks of 3 x 2"),
        ("space_to_depth", [X], {"block": [3]}, "block must be 2 sizes"),
        ("space_to_depth", [X], {"block": [0, 7]}, "a size of block must be an integer from 1"),
        ("space_to_depth", [X], {"block": [3, 7], "depth_first": 1}, "depth_first must be true or false"),
        ("resize", [X], {"size": [0, 3]}, "size must be 2 integers"),
        ("resize", [X], {"size": [3, 3], "mode": "cubic"}, "'nearest' or 'bilinear'"),
    ],
)
def test_shapes_that_do_not_fit(op: str, shapes: list[Shape], attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message) as info:
        shape_of(op, *shapes, **attrs)
    assert str(info.value).startswith(f"node 'n' ({op}) over t0")


def test_epilogue_tensors_must_fit_the_result() -> None:
    w: Shape = (8, 4, 1, 1)
    y: Shape = (None, 8, 9, 7)
    assert shape_of("conv2d", X, w, None, (8,), (8,), y, epilogue=[["affine"], ["add"]]) == y
    with pytest.raises(GraphError, match=r"epilogue 'affine' needs shape \(8,\), got \(4,\)"):
        shape_of("conv2d", X, w, None, (8,), (4,), epilogue=[["affine"]])
    with pytest.raises(GraphError, match="epilogue 'affine' needs channels"):
        shape_of("add", (None,), (1,), (1,), (1,), epilogue=[["affine"]])
    with pytest.raises(
        GraphError, match=r"epilogue 'add' needs shape \(None, 8, 9, 7\), got \(None, 4, 9, 7\)"
    ):
        shape_of("conv2d", X, w, None, X, epilogue=[["add"]])


geometry = {
    "size": st.integers(1, 30),
    "kernel": st.integers(1, 6),
    "stride": st.integers(1, 5),
    "pad": st.integers(0, 4),
    "dilation": st.integers(1, 3),
}


@given(**geometry)
def test_conv_output_size_equals_torch(size: int, kernel: int, stride: int, pad: int, dilation: int) -> None:
    assume(size + 2 * pad >= dilation * (kernel - 1) + 1)
    x, weight = torch.zeros(1, 1, 1, size), torch.zeros(1, 1, 1, kernel)
    expected = torch.conv2d(x, weight, stride=(1, stride), padding=(0, pad), dilation=(1, dilation)).shape[3]
    assert conv_output_size(size, kernel, stride, pad, pad, dilation) == expected


@given(**geometry, ceil_mode=st.booleans())
def test_pool_output_size_equals_torch(
    size: int, kernel: int, stride: int, pad: int, dilation: int, ceil_mode: bool
) -> None:
    pad = min(pad, kernel // 2)
    assume(size + 2 * pad >= dilation * (kernel - 1) + 1)
    attrs = {
        "kernel": [1, kernel],
        "stride": [1, stride],
        "padding": [0, pad, 0, pad],
        "dilation": [1, dilation],
        "ceil_mode": ceil_mode,
    }
    x = torch.from_numpy(np.zeros((1, 1, 1, size), np.float32))
    pooled = torch.max_pool2d(x, (1, kernel), (1, stride), (0, pad), (1, dilation), ceil_mode)
    assert shape_of("max_pool2d", (None, 1, 1, size), **attrs) == (None, 1, 1, pooled.shape[3])
