"""Sizes that are only known when the network runs: what is computed from them is right for every one, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from converters import from_onnx, passes
from sparsenet import Engine, reference
from sparsenet.errors import UnsupportedOpError
from tests.converters.onnx.models import assert_converts, model, node, run_onnxruntime

ROWS = 12

#: ``found`` holds the rows of ``x`` whose first number is above 0, ``n`` (1) how many these are.
FOUND = [
    node("Slice", "x zero one one", "column"),
    node("Greater", "column none", "mask"),
    node("NonZero", "mask", "places"),
    node("Slice", "places zero one zero", "row"),
    node("Transpose", "row", "rows", perm=[1, 0]),
    node("GatherND", "x rows", "found"),
    node("Shape", "found", "n", start=0, end=1),
]
CONSTANTS = {
    "zero": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "three": np.array([3]),
    "four": np.array([4]),
    "eight": np.array([8]),
    "minus": np.array([-1]),
    "none": np.float32([0]),
    "half": np.float32([0.5]),
    "scalar": np.array(0),
}


def found_model(
    nodes: Sequence[NodeProto], outputs: Mapping[str, int] | None = None, **more: np.ndarray
) -> onnx.ModelProto:
    proto = model([*FOUND, *nodes], {**CONSTANTS, **more}, shape=(ROWS, 3))
    del proto.graph.output[:]
    kinds = outputs or {"y": TensorProto.FLOAT}
    proto.graph.output.extend(helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items())
    return proto


def rows_of(count: int) -> np.ndarray:
    """Rows of which so many are found."""
    x = np.random.default_rng(count).standard_normal((ROWS, 3)).astype(np.float32)
    x[:, 0] = np.where(np.random.default_rng(count).permutation(ROWS) < count, 1, -1) * (
        0.1 + np.abs(x[:, 0])
    )
    return x


def assert_as_onnxruntime(proto: onnx.ModelProto, counts: Sequence[int] = (1, 2, 3, 4, 5, 9, 12)) -> None:
    raw = from_onnx(proto, batch="fixed", optimize=False)
    graph = passes.optimize(raw)
    engine = Engine(graph, 1)
    for count in counts:
        x = rows_of(count)
        wanted = run_onnxruntime(proto, x)
        for results in (reference.run(raw, {"x": x[None]}), engine.run({"x": x[None]})):
            for name, value in zip(graph.outputs, wanted, strict=True):
                assert results[name][0].shape == value.shape, count
                np.testing.assert_allclose(
                    results[name][0], value, rtol=1e-5, atol=1e-5, err_msg=f"{count} found"
                )
    engine.close()


#: The first column of what is found, as a list.
SCORES = [
    node("Slice", "found one two one", "middle"),
    node("Squeeze", "middle one", "score"),
]
LIMITED = {
    "min": [node("Min", "n four", "k")],
    "min of floats": [
        node("Cast", "n", "nf", to=TensorProto.FLOAT),
        node("Cast", "four", "ff", to=TensorProto.FLOAT),
        node("Min", "nf ff", "kf"),
        node("Cast", "kf", "k", to=TensorProto.INT64),
    ],
    "the smallest of a list": [
        node("Concat", "n four", "both", axis=0),
        node("ReduceMin", "both", "k", keepdims=1),
    ],
    "twice": [node("Min", "eight n", "k8"), node("Min", "k8 four n", "k")],
    "by a scalar": [
        node("Shape", "found", "whole"),
        node("Gather", "whole scalar", "ns"),
        node("Squeeze", "four zero", "fs"),
        node("Min", "ns fs", "ks"),
        node("Unsqueeze", "ks zero", "k"),
    ],
}


@pytest.mark.parametrize("name", LIMITED)
def test_top_k_of_as_many_as_there_are_up_to_a_limit(name: str) -> None:
    nodes = [*SCORES, *LIMITED[name], node("TopK", "score k", "y i", axis=0)]
    assert_as_onnxruntime(found_model(nodes, {"y": TensorProto.FLOAT, "i": TensorProto.INT64}))


def test_top_k_of_all_there_are_sorts() -> None:
    assert_as_onnxruntime(found_model([*SCORES, node("TopK", "score n", "y i", axis=0, largest=0)]))


def test_top_k_of_something_else() -> None:
    """As many of all rows as are found of them, up to a limit."""
    nodes = [
        node("Slice", "x one two one", "middle"),
        node("Squeeze", "middle one", "every"),
        node("Min", "n four", "k"),
        node("TopK", "every k", "y i", axis=0),
    ]
    assert_as_onnxruntime(found_model(nodes))


@pytest.mark.parametrize("source", ["found", "x"])
def test_a_slice_that_ends_at_a_limit(source: str) -> None:
    nodes = [node("Min", "n four", "k"), node("Slice", f"{source} zero k zero")]
    assert_as_onnxruntime(found_model(nodes))


def test_a_slice_of_one_part_that_ends_with_another() -> None:
    nodes = [
        node("Slice", "x one two one", "second"),
        node("Greater", "second none", "mask2"),
        node("NonZero", "mask2", "places2"),
        node("Transpose", "places2", "rows2", perm=[1, 0]),
        node("Slice", "rows2 zero one one", "row2"),
        node("GatherND", "x row2", "others"),
        node("Shape", "others", "m", start=0, end=1),
        node("Slice", "found zero m zero"),
    ]
    assert_as_onnxruntime(found_model(nodes), range(4, 13))


COMPUTED = {
    "a number that never falls below another": [node("Max", "n four", "m")],
    "the larger of a list": [node("Concat", "n four", "both", axis=0), node("ReduceMax", "both", "m")],
    "half of it": [node("Div", "n two", "m")],
    "its rest": [node("Mod", "n three", "m")],
    "its square": [node("Mul", "n n", "m")],
    "its absolute distance": [node("Sub", "n four", "d"), node("Abs", "d", "m")],
    "a number of its own": [node("Min", "n four", "k"), node("Sub", "n k", "m")],
    "the size of what is found": [node("Size", "found", "s"), node("Mul", "s one", "m")],
    "whether more are found than so many": [
        node("Greater", "n four", "more"),
        node("Where", "more eight three", "m"),
    ],
    "whether so many are found": [node("Equal", "n four", "just"), node("Where", "just eight three", "m")],
    "whether any is found": [node("Greater", "n zero", "any"), node("Where", "any eight three", "m")],
    "both at once": [
        node("Greater", "n three", "more"),
        node("Less", "n eight", "less"),
        node("And", "more less", "between"),
        node("Where", "between one two", "m"),
    ],
    "both parts": [node("Concat", "n four", "both", axis=0), node("Mul", "both n", "m")],
}


@pytest.mark.parametrize("name", COMPUTED)
def test_arithmetic_with_how_many_are_found(name: str) -> None:
    nodes = [
        *COMPUTED[name],
        node("Cast", "m", "mf", to=TensorProto.FLOAT),
        node("ReduceMean", "x", "mean", keepdims=0),
        node("Mul", "mean mf"),
    ]
    assert_as_onnxruntime(found_model(nodes), (0, 1, 3, 4, 5, 12))


def test_how_many_are_found_may_be_an_output() -> None:
    assert_as_onnxruntime(found_model([node("Identity", "n", "y")], {"y": TensorProto.INT64}), (0, 1, 12))


def test_the_mean_of_a_slice_counts_what_is_there() -> None:
    nodes = [node("Slice", "found zero four zero", "first"), node("ReduceMean", "first zero")]
    assert_as_onnxruntime(found_model(nodes))


def test_sizes_that_only_look_alike_are_told_apart() -> None:
    """Two counts have a difference, whatever they are."""
    nodes = [
        node("Slice", "x one two one", "second"),
        node("Greater", "second none", "mask2"),
        node("NonZero", "mask2", "places2"),
        node("Shape", "places2", "m", start=1, end=2),
        node("Sub", "n m", "d"),
        node("Equal", "n m", "same"),
        node("Where", "same eight d", "chosen"),
        node("Cast", "chosen", "y", to=TensorProto.FLOAT),
    ]
    assert_as_onnxruntime(found_model(nodes), range(13))


#: With a free batch: ``n`` is its size.
BATCH = [node("Shape", "x", "n", start=0, end=1)]

UP_TO = [
    node("Squeeze", "n zero", "ns"),
    node("Squeeze", "one zero", "step"),
    node("Range", "scalar ns step", "r"),
    node("Cast", "r", "numbers", to=TensorProto.FLOAT),
]
FILLED = {
    "numbers up to it": [*UP_TO, node("Mul", "numbers score")],
    "side by side": [
        node("Concat", "n two", "s", axis=0),
        node("Tile", "row3 s", "c"),
        node("Concat", "found c", axis=1),
    ],
    "a list": [
        node("ConstantOfShape", "n", "c", value=numpy_helper.from_array(np.float32([2.5]))),
        node("Mul", "score c"),
    ],
    "rows": [node("Shape", "found", "s"), node("ConstantOfShape", "s", "c"), node("Sub", "found c")],
    "as many as a slice has": [
        node("Slice", "found zero four zero", "first"),
        node("Shape", "first", "s"),
        node("ConstantOfShape", "s", "c"),
        node("Sub", "first c"),
    ],
    "as many as the best": [
        *SCORES,
        node("Min", "n four", "k"),
        node("TopK", "score k", "best i", axis=0),
        node("Expand", "half k", "c"),
        node("Mul", "best c"),
    ],
    "more rows": [
        node("Concat", "n three", "s", axis=0),
        node("Expand", "row3 s", "c"),
        node("Concat", "found c", axis=1),
    ],
    "what nothing is computed with": [node("Concat", "two n three", "s", axis=0), node("Expand", "row3 s")],
    "up to a limit": [node("Min", "n four", "k"), node("Expand", "half k")],
}


@pytest.mark.parametrize("name", FILLED)
def test_constants_as_large_as_what_is_found(name: str) -> None:
    nodes = [*(SCORES if name in ("a list", "numbers up to it") else []), *FILLED[name]]
    assert_as_onnxruntime(found_model(nodes, row3=np.float32([[1, 2, 3]])))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Shape", "x", "s"), node("ConstantOfShape", "s", "c"), node("Add", "x c")],
        [node("Concat", "n one", "s", axis=0), node("Expand", "token s", "c"), node("Concat", "x c", axis=1)],
        [node("Concat", "n four", "s", axis=0), node("Expand", "token s", "c"), node("Concat", "c x", axis=1)],
        [node("Concat", "n four", "s", axis=0), node("Tile", "token s", "c"), node("Concat", "c x", axis=1)],
    ],
    ids=["zeros", "one for each image", "repeated", "side by side"],
)  # fmt: skip
def test_constants_for_every_image(nodes: list[NodeProto]) -> None:
    proto = model([*BATCH, *nodes], {**CONSTANTS, "token": np.float32([[7]])}, shape=("N", 12))
    assert_converts(proto, batch=3)


REFUSED = {
    "as many new rows as there are up to a limit": (
        [node("Max", "n four", "m"), node("Concat", "m three", "s", axis=0), node("Reshape", "x s")],
        "computed from the input",
    ),
    "numbers from 1 up to it": (
        [*UP_TO[:2], node("Range", "step ns step", "r"), node("Cast", "r", "y", to=TensorProto.FLOAT)],
        "from 0 on, in steps of 1",
    ),
    "pairs": (
        [
            node("Slice", "found zero one one", "l"),
            node("Concat", "n n", "s", axis=0),
            node("Expand", "l s"),
        ],
        "depends on the data",
    ),
    "rows of another number": (
        [node("Min", "n four", "k"), node("Concat", "k minus", "s", axis=0), node("Reshape", "found s")],
        "depends on other data",
    ),
    "the last few": ([node("Neg", "n", "k"), node("Slice", "x k eight zero")], "must be a constant"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_size_itself_is_refused(name: str) -> None:
    nodes, hint = REFUSED[name]
    with pytest.raises(UnsupportedOpError, match=hint):
        from_onnx(found_model(nodes), batch="fixed")


RULED_OUT = {
    "a limit as a size": (
        [node("Min", "n eight", "k"), node("Concat", "k minus", "s", axis=0), node("Reshape", "x s")],
        "batch size up to a limit",
    ),
    "a limit as a number": (
        [node("Min", "n eight", "k"), node("Cast", "k", "f", to=TensorProto.FLOAT), node("Mul", "x f")],
        "arithmetic with the batch size",
    ),
    "a comparison": (
        [node("Equal", "n four", "c"), node("Where", "c three eight", "w"), node("Add", "x w")],
        "compares a size",
    ),
    "as many as images": ([node("TopK", "x n", "y i")], "batch size"),
    "half of the batch": (
        [node("Div", "n two", "h"), node("Concat", "h minus", "s", axis=0), node("Reshape", "x s")],
        "divides a size",
    ),
    "rounding": (
        [
            node("Cast", "n", "f", to=TensorProto.FLOAT),
            node("Mul", "f half", "h"),
            node("Floor", "h", "r"),
            node("Mul", "x r"),
        ],
        "rounds a size",
    ),
    "the batch squared": ([node("Mul", "n n", "q"), node("Expand", "x q")], "multiplies sizes"),
}


@pytest.mark.parametrize("name", RULED_OUT)
def test_what_depends_on_the_batch_size_is_refused(name: str) -> None:
    nodes, hint = RULED_OUT[name]
    with pytest.raises(UnsupportedOpError, match=hint):
        from_onnx(model([*BATCH, *nodes], CONSTANTS, shape=("N", 12)))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Max", "n one", "k")],
        [node("Greater", "n zero", "c"), node("Where", "c n eight", "k")],
        [node("Mul", "n four", "q"), node("Div", "q four", "k")],
        [node("Cast", "n", "f", to=TensorProto.FLOAT), node("Floor", "f", "g"), node("Cast", "g", "k", to=7)],
        [node("Add", "n n", "d"), node("Sub", "d n", "k")],
    ],
    ids=["at least one", "not none", "times and by", "by way of floats", "there and back"],
)
def test_what_is_the_batch_after_all(nodes: list[NodeProto]) -> None:
    nodes = [*BATCH, *nodes, node("Concat", "k three four", "s", axis=0), node("Reshape", "x s")]
    graph = from_onnx(model(nodes, CONSTANTS, shape=("N", 12)))
    x = np.random.default_rng(0).standard_normal((5, 12)).astype(np.float32)
    np.testing.assert_array_equal(reference.run(graph, {"x": x})["y"], x.reshape(5, 3, 4))
