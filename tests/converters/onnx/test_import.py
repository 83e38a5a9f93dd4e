"""Files, names, constants and errors of the ONNX importer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from converters import from_onnx
from converters.decompose.resampling import Axis, coordinates
from converters.onnx_import import OnnxSource
from sparsenet import reference
from sparsenet.errors import (
    GraphError,
    InputError,
    MaskError,
    MemoryLimitError,
    MissingExtraError,
    ModelFileError,
    SparsenetError,
    UnsupportedOpError,
)
from tests.converters.onnx.models import assert_converts, model, node, weights

W = weights(6, 4, 3, 3)


def conv_model() -> onnx.ModelProto:
    return model([node("Conv", "x w b", "c"), node("Relu", "c")], {"w": W, "b": weights(6)})


def test_path_bytes_and_proto_give_the_same_graph(tmp_path: Path) -> None:
    proto = conv_model()
    path = tmp_path / "tiny.onnx"
    path.write_bytes(proto.SerializeToString())
    graphs = [from_onnx(source) for source in (path, str(path), path.read_bytes(), proto)]
    assert [graph.name for graph in graphs] == ["tiny", "tiny", "test", "test"]
    assert all(graph.nodes == graphs[0].nodes for graph in graphs)


def test_names_are_kept_and_the_model_is_left_as_it_was() -> None:
    proto = conv_model()
    before = proto.SerializeToString()
    graph = from_onnx(proto, optimize=False)
    assert [(n.name, n.output) for n in graph.nodes] == [("Conv_c", "c"), ("Relu_y", "y")]
    assert set(graph.constants) == {"w", "b"}
    assert proto.SerializeToString() == before


def test_nodes_without_a_name_are_named_after_their_tensor() -> None:
    proto = conv_model()
    for part in proto.graph.node:
        part.name = ""
    assert [n.name for n in from_onnx(proto, optimize=False).nodes] == ["c", "y"]


def test_nodes_that_share_a_name_are_told_apart() -> None:
    proto = conv_model()
    for part in proto.graph.node:
        part.name = "same"
    assert [n.name for n in from_onnx(proto, optimize=False).nodes] == ["same", "same_1"]


def test_initializers_may_be_listed_as_inputs() -> None:
    proto = conv_model()
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, W.shape))
    assert [info.name for info in assert_converts(proto).inputs] == ["x"]


def test_sparse_initializers_are_read() -> None:
    sparse = np.where(np.abs(W) > 1, W, 0).astype(np.float32)
    proto = model([node("Conv", "x w")], {})
    places = np.flatnonzero(sparse)
    values = numpy_helper.from_array(sparse.ravel()[places], "w")
    for indices in (places, np.argwhere(sparse)):
        del proto.graph.sparse_initializer[:]
        made = helper.make_sparse_tensor(values, numpy_helper.from_array(indices.astype(np.int64)), W.shape)
        proto.graph.sparse_initializer.append(made)
        np.testing.assert_array_equal(from_onnx(proto).constants["w"], sparse)


@pytest.mark.parametrize("place", [-1, W.size, 1 << 40])
def test_sparse_initializer_with_an_index_outside(place: int) -> None:
    proto = model([node("Conv", "x w")], {})
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    indices = numpy_helper.from_array(np.array([place], np.int64))
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, W.shape))
    with pytest.raises(ModelFileError, match="'w' has indices"):
        from_onnx(proto)


def test_half_precision_models_become_float32() -> None:
    proto = model(
        [node("Conv", "x w b", "c"), node("Relu", "c")],
        {"w": W.astype(np.float16), "b": weights(6).astype(np.float16)},
        input_type=TensorProto.FLOAT16,
    )
    graph = from_onnx(proto)
    np.testing.assert_array_equal(graph.constants["w"], W.astype(np.float16).astype(np.float32))
    assert graph.inputs[0].dtype == "float32"


def test_masks_zero_the_weights() -> None:
    mask = (W > 0).astype(np.uint8)
    np.testing.assert_array_equal(from_onnx(conv_model(), masks={"w": mask}).constants["w"] != 0, mask == 1)
    for wrong in ({"v": mask}, {"w": mask[0]}, {"w": mask * 2}):
        with pytest.raises(MaskError, match=r"'[vw]'"):
            from_onnx(conv_model(), masks=wrong)


def test_every_unsupported_node_is_listed_with_a_hint() -> None:
    nodes = [
        node("LSTM", "x t t", "a"),
        node("Relu", "a", "b"),
        node("Unique", "b", "c"),
        node("MaxPool", "x", "d i", kernel_shape=[2, 2]),
        node("Softmax", "d", "f", axis=0),
        node("Cast", "i", "g", to=TensorProto.FLOAT),
        node("Conv", "x w", "v", pads=[-1, 0, 0, 0]),
        helper.make_node("Fancy", ["g"], ["h"], name="Fancy_h", domain="my.ops"),
    ]
    constants = {"t": weights(4, 4, 2, 2), "w": W}
    with pytest.raises(UnsupportedOpError) as caught:
        from_onnx(model(nodes, constants, outputs=("f", "h", "v")))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) <= 300
    assert "'test' (opset 18) has 6 unsupported nodes" in message
    for name, hint in {
        "'LSTM_a' (LSTM)": "recurrent layers",
        "'Unique_c' (Unique)": "end the network before it",
        "'MaxPool_d' (MaxPool)": "counts across the batch",
        "'Softmax_f' (Softmax, axis=0)": "batch",
        "'Conv_v' (Conv, pads=[-1, 0, 0, 0])": "negative padding",
        "'Fancy_h' (my.ops::Fancy)": "no counterpart",
    }.items():
        assert any(name in reason and hint in reason for reason in caught.value.reasons)
    assert "Relu_b" not in message


FEATURES = ("N", 8)
REFUSED = {
    "conv with a computed weight": (model([node("Conv", "x x")]), "weight must be a constant"),
    "negative pads": (model([node("Conv", "x w", pads=[-1, 0, 0, 0])], {"w": W}), "negative padding"),
    "transA": (model([node("Gemm", "x w", transA=1)], {"w": weights(8, 5)}, shape=FEATURES), "transA"),
    "training batch norm": (
        model([node("BatchNormalization", "x s s s s", training_mode=1)], {"s": weights(4)}, opset=15),
        "statistics of the batch",
    ),
    "active dropout": (model([node("Dropout", "x _ t")], {"t": np.array(True)}), "dropout is active"),
    "cast to a narrow type": (model([node("Cast", "x", to=TensorProto.FLOAT8E5M2)], opset=19), "to=19"),
    "pads of another kind": (
        model([node("Pad", "x p", mode="odd")], {"p": np.zeros(8, np.int64)}),
        "mode 'odd' is not known",
    ),
    "pads that do not fit": (model([node("Pad", "x p")], {"p": np.array([1, 1])}), "do not fit"),
    "batch summed": (model([node("ReduceSum", "x a")], {"a": np.array([0])}), "batch"),
    "batch squeezed": (model([node("Squeeze", "x a")], {"a": np.array([0])}), "batch"),
    "batch fixed": (model([node("Reshape", "x s")], {"s": np.array([1, 252])}), "fixes the batch"),
    "batch split": (model([node("Reshape", "x s")], {"s": np.array([-1, 40])}), "would change the batch"),
    "arithmetic with the batch size": (
        model(
            [
                node("Shape", "x", "s", start=0, end=1),
                node("Cast", "s", "n", to=TensorProto.FLOAT),
                node("Mul", "x n"),
            ]
        ),
        "batch size",
    ),
    "constant with a batch": (model([node("Add", "x c")], {"c": weights(3, 4, 7, 9)}), "batch"),
    "concat of the batch": (model([node("Concat", "x c", axis=0)], {"c": weights(1, 4, 7, 9)}), "batch"),
    "slice of the batch": (
        model([node("Slice", "x a b c")], {n: np.array([v]) for n, v in zip("abc", (0, 4, 0), strict=True)}),
        "batch",
    ),
    "an empty slice": (
        model([node("Slice", "x a b c")], {n: np.array([v]) for n, v in zip("abc", (3, 3, 2), strict=True)}),
        "without elements",
    ),
    "resized batch": (model([node("Resize", "x _ s")], {"s": np.float32([2, 1, 1, 1])}), "batch"),
    "an unknown way to resize": (
        model([node("Resize", "x _ s", mode="lanczos")], {"s": np.float32([1, 1, 2, 2])}),
        "mode 'lanczos'",
    ),
    "a constant output": (
        model([node("Relu", "x"), node("Neg", "c", "d")], {"c": weights(3)}, outputs=("y", "d")),
        "does not depend on the input",
    ),
    "an attribute missing": (model([node("Concat", "x x")]), "axis"),
    "a choice by batch size": (
        model(
            [
                node("Shape", "x", "s", start=0, end=1),
                node("Greater", "s c", "many"),
                node("Where", "many a b", "chosen"),
                node("Mul", "x chosen"),
            ],
            {"c": np.array([500]), "a": np.float32([2]), "b": np.float32([3])},
        ),
        "compares a size that is only known when the network runs",
    ),
    "outputs of training": (
        model(
            [node("BatchNormalization", "x s s s s", "a m _ _ _"), node("Add", "a m")],
            {"s": np.ones(4, np.float32)},
            opset=9,
        ),
        "its output 1 .* is not supported",
    ),
    "an axis added twice": (
        model([node("Unsqueeze", "x a")], {"a": np.array([1, 1])}),
        r"\[1, 1\] names an axis twice",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_expressed_is_refused(name: str) -> None:
    proto, hint = REFUSED[name]
    with pytest.raises(UnsupportedOpError, match=hint):
        from_onnx(proto)


@pytest.mark.parametrize("opset", [6, 29])
def test_opsets_outside_the_range(opset: int) -> None:
    with pytest.raises(UnsupportedOpError, match=rf"opset {opset}; opsets 7 to 28"):
        from_onnx(model([node("Relu", "x")], opset=opset))


def test_functions_of_the_models_own_are_inlined() -> None:
    proto = conv_model()
    body = [helper.make_node("Neg", ["a"], ["n"]), helper.make_node("Relu", ["n"], ["b"])]
    proto.functions.append(helper.make_function("my", "MyRelu", ["a"], ["b"], body, proto.opset_import))
    proto.opset_import.append(helper.make_opsetid("my", 1))
    proto.graph.node[1].CopyFrom(helper.make_node("MyRelu", ["c"], ["y"], domain="my"))
    assert_converts(proto)


@pytest.mark.parametrize(
    "shape, input_type, message",
    [
        (("N", 4, 7, 9), TensorProto.STRING, "has a type that is not supported"),
        (("N", 4, "H", "W"), TensorProto.FLOAT, r"leaves dimensions 2 \('H'\) and 3 \('W'\) open"),
        (("N", 4, 0, 9), TensorProto.FLOAT, "leaves dimension 2 open; say how large"),
        (("N", 4, "H", 9), TensorProto.FLOAT8E5M2, "has a type that is not supported"),
        ((), TensorProto.FLOAT, "has no dimensions"),
    ],
)
def test_inputs_that_do_not_fit(shape: tuple[int | str, ...], input_type: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_onnx(model([node("Relu", "x")], shape=shape, input_type=input_type))


def test_outputs_of_constants_keep_their_places_when_some_have_no_name() -> None:
    split = helper.make_node("Split", ["v"], ["", "b", "c"], num_outputs=3)
    graph = from_onnx(model([split, node("Mul", "x b")], {"v": np.float32([1, 2, 3])}, shape=("N", 4)))
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(reference.run(graph, {"x": x})["y"], 2 * x)


@pytest.mark.parametrize(
    "nodes, constants",
    [
        ([node("Einsum", "a a x", equation="i,j,nk->nijk")], {"a": np.ones(100_000, np.float32)}),
        (
            [node("Tile", "a r", "t"), node("Add", "x t")],
            {"a": np.ones((1, 4), np.float32), "r": np.array([1 << 40, 0])},
        ),
    ],
    ids=["Einsum", "Tile"],
)
def test_results_too_large_are_refused_before_they_are_made(nodes: Any, constants: Any) -> None:
    with pytest.raises(MemoryLimitError):
        from_onnx(model(nodes, constants, shape=("N", 4)))


def test_dangling_names() -> None:
    with pytest.raises(GraphError, match="reads 'nothing'"):
        from_onnx(model([node("Relu", "nothing")]))
    with pytest.raises(GraphError, match="'z' of the ONNX model is made by no node"):
        from_onnx(model([node("Relu", "x")], outputs=("y", "z")))


def test_nan_among_the_weights() -> None:
    with pytest.raises(GraphError, match="'w' holds NaN"):
        from_onnx(model([node("Conv", "x w")], {"w": W * np.float32(np.nan)}))


def test_initializer_whose_data_does_not_fit_its_shape() -> None:
    proto = conv_model()
    proto.graph.initializer[0].dims[0] = 1 << 40
    with pytest.raises(ModelFileError, match="'w' of the ONNX model is damaged"):
        from_onnx(proto)


def test_missing_file_and_garbage(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file"):
        from_onnx(tmp_path / "none.onnx")
    with pytest.raises(ModelFileError, match="is not an ONNX model"):
        from_onnx(b"\x00garbage" * 20)
    with pytest.raises(ModelFileError, match="no graph"):
        from_onnx(b"")


def test_missing_onnx_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[onnx\]'"):
        from_onnx(b"")


def outcome(build: Callable[[], object]) -> str:
    """The typed error that ``build`` raises, or nothing."""
    try:
        build()
    except SparsenetError as error:
        return type(error).__name__
    return ""


ERRORS = {kind.__name__ for kind in (GraphError, InputError, ModelFileError, UnsupportedOpError)}


@settings(max_examples=150)
@given(st.data())
def test_damaged_files_raise_typed_errors(data: st.DataObject) -> None:
    content = bytearray(conv_model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(content) // 2, len(content)))
    assert outcome(lambda: from_onnx(bytes(content[:cut])).verify()) in {"", *ERRORS}


# --- values for comparison ---


def test_source_values_are_those_of_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    source = OnnxSource(conv_model())
    graph = source.graph()
    feeds = source.example()
    ours = reference.run(graph, feeds, keep="all")
    for hidden in (None, "onnxruntime"):
        if hidden:
            monkeypatch.setitem(sys.modules, hidden, None)
        values = source.values(feeds)
        assert set(values) == {"c", "y"}
        for name, value in values.items():
            np.testing.assert_allclose(value, ours[name], rtol=1e-4, atol=1e-5)


def test_weight_bytes_count_floats_once() -> None:
    assert OnnxSource(conv_model()).weight_bytes == 4 * (W.size + 6)


# --- geometry ---


@st.composite
def window_models(draw: st.DrawFn) -> onnx.ModelProto:
    pairs = st.lists(st.integers(1, 3), min_size=2, max_size=2)
    kernel, strides, dilations = draw(pairs), draw(pairs), draw(pairs)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = [e + draw(st.integers(0, 6)) for e in extent]
    attrs: dict[str, object] = {"strides": strides, "dilations": dilations}
    op = draw(st.sampled_from(["Conv", "MaxPool", "AveragePool"]))
    if op == "AveragePool":
        del attrs["dilations"]
        dilations = [1, 1]
    if draw(st.booleans()):
        attrs["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        if attrs["auto_pad"] != "VALID":
            attrs.pop("dilations", None)
    else:
        attrs["pads"] = [draw(st.integers(0, k - 1)) for k in kernel * 2]
    if op == "Conv":
        groups = draw(st.integers(1, 3))
        made = node("Conv", "x w", group=groups, **attrs)
        c_in = groups * draw(st.integers(1, 2))
        constants = {"w": weights(2 * groups, c_in // groups, *kernel)}
        return model([made], constants, shape=("N", c_in, *size))
    if "pads" in attrs:
        attrs["ceil_mode"] = int(draw(st.booleans()))
    if op == "AveragePool":
        attrs["count_include_pad"] = int(draw(st.booleans()))
    return model([node(op, "x", kernel_shape=kernel, **attrs)], shape=("N", 2, *size))


@settings(max_examples=200)
@given(window_models())
def test_window_geometry(proto: onnx.ModelProto) -> None:
    try:
        assert_converts(proto)
    except onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException:
        reject()  # it cannot pool with auto_pad and a stride above the kernel; the specification can


@settings(max_examples=150)
@given(
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 17), st.integers(1, 17)),
    mode=st.sampled_from(["nearest", "linear"]),
    rule=st.sampled_from(
        ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
    ),
    rounding=st.sampled_from(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]),
)
def test_resize(sizes: tuple[int, int, int, int], mode: str, rule: str, rounding: str) -> None:
    h, w, out_h, out_w = sizes
    attrs = {"mode": mode, "coordinate_transformation_mode": rule}
    if mode == "nearest":
        attrs["nearest_mode"] = rounding
    proto = model(
        [node("Resize", "x _ _ s", **attrs)],
        {"s": np.array([2, 3, out_h, out_w])},
        shape=(2, 3, h, w),
        opset=19,
    )
    for size, out in ((h, out_h), (w, out_w)):
        places = coordinates(Axis(size, out, out / size), rule)
        # At a tie, and where it leaves the image by less than that, float32 decides otherwise than real numbers.
        assume(mode == "linear" or np.abs(places * 2 - np.rint(places * 2)).min() > 1e-4 or out == size)
    assert_converts(proto)
