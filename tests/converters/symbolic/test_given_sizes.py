"""Sizes that an ONNX model leaves open, given by shape, by the name of a dimension or by image size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from bench.subjects.source import open_model
from converters import from_onnx, passes
from converters.conversion.command import convert
from converters.conversion.sources import open_source
from converters.onnx_import import OnnxSource
from sparsenet import Engine, TensorInfo, load
from sparsenet.errors import InputError, UnsupportedOpError
from tests.converters.importing import relative_error
from tests.converters.onnx.models import model, node, run_onnxruntime, weights

NHWC = model(
    [
        node("Transpose", "x", "a", perm=[0, 3, 1, 2]),
        node("Conv", "a w", "b", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Relu", "b", "c"),
        node("Conv", "c v", "d", auto_pad="SAME_LOWER", strides=[2, 2]),
        node("Transpose", "d", perm=[0, 2, 3, 1]),
    ],
    {"w": weights(8, 3, 3, 3), "v": weights(4, 8, 4, 4)},
    shape=("N", "H", "W", 3),
)
THIRDS = model(
    [
        node("Conv", "x w", "a", auto_pad="SAME_UPPER", strides=[3, 3]),
        node("AveragePool", "a", "b", auto_pad="SAME_LOWER", strides=[3, 3], kernel_shape=[5, 5]),
        node("ConvTranspose", "b v", "y", auto_pad="SAME_UPPER", strides=[2, 2]),
    ],
    {"w": weights(4, 3, 5, 5), "v": weights(4, 2, 3, 3)},
    shape=("N", 3, -1, -1),
)
SOUND = model(
    [node("Conv", "x w", "a", strides=[2]), node("Relu", "a", "b"), node("Conv", "b v", "y", pads=[2, 2])],
    {"w": weights(8, 1, 9), "v": weights(4, 8, 5)},
    shape=("N", 1, "T"),
)
SAMPLES = model(
    [
        node("Unsqueeze", "x one", "a"),
        node("Conv", "a w", "b", strides=[4]),
        node("Mul", "b b", "c"),
        node("ReduceMean", "c", "y", axes=[1], keepdims=0),
    ],
    {"one": np.array([1]), "w": weights(6, 1, 12)},
    shape=("N", "samples"),
    opset=13,
)
TOKENS = model(
    [node("MatMul", "x w", "a"), node("Softmax", "a", "b", axis=-1), node("ReduceMax", "b", "y", axes=[1])],
    {"w": weights(6, 5)},
    shape=("N", "tokens", 6),
    opset=13,
)
VOLUME = model(
    [node("Reshape", "x s", "a"), node("Conv", "a w", "b", pads=[1] * 4), node("Relu", "b", "y")],
    {"s": np.array([0, 6, -1, 8]), "w": weights(4, 6, 3, 3)},
    shape=("N", 3, 2, "D", 8),
)


@pytest.mark.parametrize(
    "proto, given, others",
    [
        pytest.param(NHWC, {"shapes": {"x": (1, 32, 48, 3)}}, [(33, 41, 3), (20, 7, 3)], id="NHWC"),
        pytest.param(NHWC, {"image_size": (31, 48)}, [(32, 47, 3)], id="NHWC by image size"),
        pytest.param(
            THIRDS, {"image_size": (29, 37)}, [(3, 30, 38), (3, 31, 39), (3, 40, 44)], id="strides of 3"
        ),
        pytest.param(SOUND, {"dims": {"T": 160}}, [(1, 161), (1, 40)], id="sound"),
        pytest.param(SAMPLES, {"shapes": {"x": (None, 400)}}, [(401,), (1000,)], id="samples"),
        pytest.param(TOKENS, {"dims": {"tokens": 7}}, [(12, 6), (1, 6)], id="tokens"),
        pytest.param(VOLUME, {"dims": {"D": 5}}, [(3, 2, 4, 8), (3, 2, 9, 8)], id="volume"),
    ],
)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("zeros", [0.0, 0.8])
def test_every_size_gives_what_onnxruntime_gives(
    proto: onnx.ModelProto, given: dict[str, Any], others: list[tuple[int, ...]], batch: int, zeros: float
) -> None:
    proto = pruned(proto, zeros)
    graph = from_onnx(proto, **given)
    rng = np.random.default_rng(0)
    own = tuple(int(d or 0) for d in graph.inputs[0].shape[1:])
    engines = [Engine(graph, 1), Engine(graph, backend="numpy")]
    for size in (own, *others):
        x = rng.standard_normal((batch, *size)).astype(np.float32)
        (expected,) = run_onnxruntime(proto, x)
        for engine in engines:
            assert relative_error(engine.run({"x": x})["y"], expected) < 1e-5


def pruned(proto: onnx.ModelProto, zeros: float) -> onnx.ModelProto:
    """The model without so many of its weights, at random."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    rng = np.random.default_rng(1)
    for tensor in copy.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(array * (rng.random(array.shape) >= zeros), tensor.name)
            )
    return copy


RELU = [node("Relu", "x")]


@pytest.mark.parametrize("unknown", [-1, 0, ""])
def test_a_number_below_one_leaves_a_dimension_open(unknown: int | str) -> None:
    proto = model(RELU, shape=(unknown, 3, unknown, 8))
    source = OnnxSource(proto, shapes={"x": (None, 3, 5, 8)})
    assert source.example()["x"].shape == (1, 3, 5, 8)
    assert source.converted(lambda graph: graph).inputs == [TensorInfo("x", (None, 3, 5, 8), open=(2,))]


def test_a_batch_that_is_given_is_the_model_s() -> None:
    reshape = [node("Reshape", "x s")]
    proto = model(reshape, {"s": np.array([2, -1])}, shape=("N", 3, 4))
    graph = from_onnx(proto, dims={"N": 2})
    assert graph.inputs[0] == TensorInfo("x", (None, 3, 4))
    assert OnnxSource(proto, dims={"N": 2}).example()["x"].shape == (2, 3, 4)
    fixed = from_onnx(model(RELU, shape=("N", 3, 4)), batch="fixed", dims={"N": 2})
    assert fixed.inputs[0] == TensorInfo("x", (None, 2, 3, 4))


@pytest.mark.parametrize(
    "shape, given, message",
    [
        (
            (1, 3, "H", "W"),
            {"shapes": {"input": (1, 3, 8, 8)}},
            r"no input 'input' .* it has 'x' \(1, 3, H, W\)",
        ),
        (
            ("N", "H", ""),
            {"dims": {"T": 8}},
            r"no open dimension 'T'; its open dimensions are 'N', 'H'; .* 'x' \(N, H, ",
        ),
        ((1, 4), {"dims": {"T": 8}}, "it leaves none open by name"),
        (("N", "H"), {"dims": {"": 8}}, "no open dimension ''"),
        (("N", 3, "T"), {"shapes": {"x": (1, 4, 8)}}, "dimension 1 cannot be both 3 and 4"),
        (("N", 3, "T"), {"shapes": {"x": (1, 3)}}, "has 3 dimensions, the shape given has 2"),
        (("N", "T"), {"shapes": {"x": (1, 8)}, "dims": {"T": 9}}, "dimension 1 cannot be both 8 and 9"),
        (("N", "T"), {"dims": {"T": 0}}, "must be a positive whole number, not 0"),
        (("N", "T"), {"dims": {"T": 2.5}}, "must be a positive whole number, not 2.5"),
        (("N", "T"), {"dims": {"N": -1, "T": 4}}, "must be a positive whole number, not -1"),
        ((4, "T"), {"shapes": {"x": (3, 8)}}, "dimension 0 cannot be both 4 and 3"),
        (
            ("N", "T"),
            {"shapes": (1, 8)},
            r"shapes must be a dict of sizes by name, got a value of type tuple",
        ),
        (("N", "T"), {"shapes": {"x": 8}}, "shapes cannot have the entry 'x': 8"),
        (("N", "T"), {"shapes": {"x": "1x8"}}, "shapes cannot have the entry 'x': '1x8'"),
        (("N", "T"), {"shapes": {"x": (1, 8.0)}}, "must be a positive whole number, not 8.0"),
        (("N", "T"), {"dims": {1: 8}}, "dims cannot have the entry 1: 8"),
        (("N", "T"), {"dims": {"T": None}}, "dims cannot have the entry 'T': None"),
        (("N", 3, "H", "W"), {"image_size": 8}, "image_size must be a list or tuple"),
        (("N", 3, "H", "W"), {"image_size": (8, 8, 8)}, "image_size must be two numbers"),
    ],
)
def test_what_does_not_fit(shape: tuple[int | str, ...], given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_onnx(model(RELU, shape=shape), **given)


@pytest.mark.parametrize("shape", [("N", 3, "H", "W"), ("N", "T"), (2, "", 3), ("N", 5, -1, -1, "D")])
@pytest.mark.parametrize("batch", ["free", "fixed"])
def test_following_the_advice_works(shape: tuple[int | str, ...], batch: str, tmp_path: Path) -> None:
    source, target = tmp_path / "m.onnx", tmp_path / "m.safetensors"
    onnx.save(model(RELU, shape=shape), source)
    arguments = [str(source), "-o", str(target), "--no-speed", "--verify", "--batch", batch]
    with pytest.raises(InputError, match="say how large") as refusal:
        CliRunner().invoke(convert, arguments, catch_exceptions=False)
    for advice in str(refusal.value).split("with your numbers: ")[1].split(" or "):
        if "--image-size" in advice and batch == "fixed":
            continue
        options, python = advice.split(" (", 1)
        result = CliRunner().invoke(convert, [*arguments, *options.split()], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert load(target).inputs == from_onnx(source, batch=batch, **eval(f"dict({python}")).inputs  # type: ignore[arg-type]


def test_advice_to_fix_the_batch_says_all_that_is_needed() -> None:
    proto = model(
        [node("ReduceSum", "x axis", keepdims=0)], {"axis": np.array([0])}, shape=("N", 3, "T"), opset=13
    )
    with pytest.raises(UnsupportedOpError, match=r"or convert with batch='fixed' \(--batch fixed\)$"):
        from_onnx(proto, dims={"T": 4})
    graph = from_onnx(proto, batch="fixed", dims={"T": 4})
    assert graph.inputs == [TensorInfo("x", (None, 1, 3, 4), open=(3,))]
    x = np.random.default_rng(0).standard_normal((1, 3, 9)).astype(np.float32)
    np.testing.assert_allclose(Engine(graph, 1)(x[None])[0], run_onnxruntime(proto, x)[0], rtol=1e-6)


def test_dimensions_of_one_name_grow_together() -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "T", 3]) for name in ("a", "b")]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "g", values, [output])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    converted = from_onnx(proto, dims={"T": 5})
    assert [(info.shape, info.open) for info in converted.inputs] == [((None, 5, 3), (1,))] * 2
    x = np.ones((2, 9, 3), np.float32)
    assert (Engine(converted, 1)(x, x) == 2).all()


def test_what_is_bound_to_a_size_is_fixed_and_the_rest_open() -> None:
    """The columns are multiplied by a matrix; the rows are not."""
    proto = model([node("MatMul", "x w")], {"w": weights(8, 5)}, shape=("N", 3, "H", "W"))
    graph = from_onnx(proto, shapes={"x": (1, 3, 6, 8)})
    assert graph.inputs == [TensorInfo("x", (None, 3, 6, 8), open=(2,))]
    x = np.random.default_rng(0).standard_normal((2, 3, 11, 8)).astype(np.float32)
    assert relative_error(Engine(graph, 1)(x), run_onnxruntime(proto, x)[0]) < 1e-5
    with pytest.raises(InputError, match=r"must have shape \(N, 3, any, 8\)"):
        Engine(graph, 1)(np.zeros((1, 3, 6, 9), np.float32))


def test_passes_leave_a_graph_alone_whose_numbers_follow_from_sizes() -> None:
    graph = from_onnx(THIRDS, image_size=(29, 37), optimize=False)
    assert any(node.follows for node in graph.nodes)
    assert passes.optimize(graph) == graph


def test_other_commands_take_sizes_too(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(RELU, shape=("N", 3, "H", "W")), path)
    graph = open_model(str(path), shapes={"x": (1, 3, 6, 7)})
    assert graph.inputs[0].shape == (None, 3, 6, 7)
    assert open_model(str(path), dims={"H": 4, "W": 5}).inputs[0].shape == (None, 3, 4, 5)
    with pytest.raises(InputError, match="--shape and --dim are for those"):
        open_model("mobilenetv1", dims={"H": 4})
    with pytest.raises(InputError, match="take --shape"):
        open_model(str(path), 32)
    other = tmp_path / "m.pth"
    other.write_bytes(b"")
    with pytest.raises(InputError, match="a dimension is for ONNX models"):
        open_source(other, dims={"H": 4})


@pytest.mark.parametrize(
    "option, message",
    [
        (["--shape", "x=1x3xAx4"], "is not of the form INPUT=1x3x480x640"),
        (["--shape", "1x3x4x4"], "is not of the form INPUT=1x3x480x640"),
        (["--dim", "H=4x4"], "is not of the form NAME=160"),
        (["--dim", "H=4", "--dim", "H=4"], "'H' is given more than once"),
    ],
)
def test_options_that_cannot_be_read(option: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(convert, [str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m"), *option])
    assert result.exit_code == 2
    assert message in result.output
