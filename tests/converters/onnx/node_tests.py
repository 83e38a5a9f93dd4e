"""ONNX's own node tests (they ship with the onnx package) run through the importer, the oracle and the engine.

A node test is a model of one operator, inputs and expected outputs. In a network most of those inputs would be
parameters, so a test is tried in four ways, until one converts:

1. the first input is the network's input, dimension 0 of it the batch; everything else is a constant,
2. as one sample with all its dimensions (``batch="fixed"``), every input an input of the network,
3. as 2, but only the float inputs are,
4. as 2, but only the first input is.

Data of a type that only stored weights have, not inputs, is given as a constant with everything else, and the importer
must know the result. A wrong number in any of them is a failure; a test that converts in none is excluded, with the
importer's reason, and so is one that contradicts the operator's text.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from converters import passes
from converters.batch_axis import Layout
from converters.onnx.model import FLOAT_TYPES, INPUT_TYPES, OLDEST_OPSET
from converters.onnx_import import OnnxSource
from sparsenet import Engine, reference
from sparsenet.errors import SparsenetError
from sparsenet.graph import Graph

#: Files of onnx.backend.test.case.node whose tests must pass or be excluded for a reason: the operators of
#: convolutional networks and of what surrounds them.
# fmt: off
FILES = (
    "conv", "convtranspose", "averagepool", "maxpool", "lppool", "globalaveragepool", "globalmaxpool",
    "gemm", "matmul", "batch_normalization", "instance_normalization", "layernormalization", "groupnormalization",
    "rmsnormalization", "lrn", "lpnormalization", "meanvariancenormalization", "attention",
    "relu", "clip", "leakyrelu", "prelu", "elu", "selu", "celu", "thresholdedrelu", "shrink", "hardswish",
    "hardsigmoid", "sigmoid", "tanh", "swish", "gelu", "mish", "softplus", "softsign", "erf", "softmax", "logsoftmax",
    "hardmax", "add", "sub", "mul", "div", "pow", "neg", "abs", "sqrt", "exp", "log", "reciprocal", "floor", "ceil",
    "round", "sign", "sin", "cos", "tan", "max", "min", "sum", "mean", "equal", "greater", "greater_or_equal", "less",
    "less_or_equal", "and_", "or_", "xor", "not_", "where", "cast", "identity", "dropout",
    "concat", "split", "slice", "pad", "transpose", "reshape", "flatten", "squeeze", "unsqueeze", "expand", "tile",
    "gather", "depthtospace", "spacetodepth", "resize", "upsample", "shape", "size",
    "dequantizelinear", "quantizelinear", "argmax", "argmin",
    "reducel1", "reducel2", "reduce_log_sum", "reduce_log_sum_exp", "reducemax", "reducemean", "reducemin",
    "reduceprod", "reducesum", "reducesumsquare", "topk", "nonmaxsuppression",
    "gathernd", "gatherelements", "scatternd", "scatterelements", "nonzero", "mod",
    "einsum", "cumsum", "trilu", "onehot", "isnan", "isinf",
)  # fmt: skip
# fmt: on


#: Tests whose numbers contradict the operator's text, which PyTorch and onnxruntime keep to, and how.
CONTRADICTED = dict.fromkeys(
    (
        "test_resize_downsample_scales_linear_align_corners",
        "test_resize_downsample_scales_cubic_align_corners",
    ),
    "the test takes the result's length before it is rounded; by the text, in PyTorch and in onnxruntime it is whole",
)


@dataclass
class Outcome:
    """What became of one node test.

    Attributes:
        way: "batch", "sample" or "constant" (see above) if it passed, "excluded" if it did not convert.
        reason: why it did not.
    """

    way: Literal["batch", "sample", "constant", "excluded"]
    reason: str = ""


@dataclass
class Attempt:
    """One way of making a network of a test."""

    way: Literal["batch", "sample"]
    free: list[int] = field(default_factory=list)


@cache
def cases(file: str) -> list[Any]:
    """The node tests that one file of onnx.backend.test.case.node defines."""
    from onnx.backend.test.case import node as package

    before = len(package._NodeTestCases)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        importlib.import_module(f"onnx.backend.test.case.node.{file}")
    return [case for case in package._NodeTestCases[before:] if case.model is not None]


def run_case(case: Any, engine: bool = True) -> Outcome:
    """Convert and run one test, by the oracle and, if asked, by the engine.

    Raises:
        AssertionError: the network converts, but computes something else than the test expects.
    """
    if case.name in CONTRADICTED:
        return Outcome("excluded", CONTRADICTED[case.name])
    declared = list(case.model.graph.input)
    if any(not info.type.HasField("tensor_type") for info in (*declared, *case.model.graph.output)):
        return Outcome("excluded", "sequences and optional values are no tensors")
    types = [info.type.tensor_type.elem_type for info in declared]
    numbers = [i for i, kind in enumerate(types) if kind in INPUT_TYPES]
    floats = [i for i in numbers if types[i] in FLOAT_TYPES]
    if not declared:
        return Outcome("excluded", "it has no input: constants alone make no network")
    if not numbers or types[0] not in INPUT_TYPES:
        name = TensorProto.DataType.Name(types[0]).lower()
        if types[0] != TensorProto.STRING and _is_known(case.model, *case.data_sets[0]):
            return Outcome("constant")
        return Outcome("excluded", f"its data is {name}, which no input may be")
    free = [numbers[:1], numbers, floats, numbers[:1]]
    attempts = [Attempt("sample" if i else "batch", chosen) for i, chosen in enumerate(free) if chosen]
    reason = ""
    for attempt in attempts:
        inputs, outputs = case.data_sets[0]
        arrays = [_array(value) for value in inputs]
        expected = [_array(value) for value in outputs]
        if any(arrays[i].size == 0 for i in attempt.free):
            reason = "tensors without elements are not supported"
            continue
        try:
            graph, layouts = _convert(case.model, arrays, attempt)
        except SparsenetError as error:
            reason = _reason(str(error))
            continue
        names = (output.name for output in case.model.graph.output)
        moved = [  # a free batch is in front of the graph's outputs, wherever the model has it
            layouts[name].of(wanted, len(arrays[0])) if name in layouts else wanted
            for name, wanted in zip(names, expected, strict=True)
        ]
        _check(graph, arrays, moved, attempt, case, engine)
        return Outcome(attempt.way)
    if _is_known(case.model, [], case.data_sets[0][1]):
        return Outcome("sample")
    return Outcome("excluded", reason)


def _is_known(model: onnx.ModelProto, constants: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether the importer knows the results without running anything, and they are right."""
    raised = onnx.ModelProto()
    raised.CopyFrom(model)
    _raise_opset(raised)
    for info, value in zip(model.graph.input, constants, strict=False):
        raised.graph.initializer.append(numpy_helper.from_array(_array(value), info.name))
    known = OnnxSource(raised, batch="fixed").known_outputs()
    names = [output.name for output in model.graph.output]
    if set(known) != set(names):
        return False
    for name, wanted in zip(names, expected, strict=True):
        assert known[name].shape == _array(wanted).shape
        np.testing.assert_array_equal(known[name].astype(np.float64), _array(wanted).astype(np.float64))
    return True


def _convert(
    model: onnx.ModelProto, arrays: Sequence[np.ndarray], attempt: Attempt
) -> tuple[Graph, dict[str, Layout]]:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    _raise_opset(made)
    names = [info.name for info in model.graph.input]
    for i, name in enumerate(names):
        if i not in attempt.free:
            made.graph.initializer.append(numpy_helper.from_array(arrays[i], name))
    source = OnnxSource(made, batch="free" if attempt.way == "batch" else "fixed")
    return passes.optimize(source.graph()), source.layouts


def _raise_opset(model: onnx.ModelProto) -> None:
    """A test of an operator that is older than every supported opset is one of the oldest of those as well."""
    for entry in model.opset_import:
        if entry.domain == "" and entry.version < OLDEST_OPSET:
            for node in model.graph.node:
                assert onnx.defs.get_schema(node.op_type, OLDEST_OPSET, "").since_version <= entry.version
            entry.version = OLDEST_OPSET


def _check(
    graph: Graph,
    arrays: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    attempt: Attempt,
    case: Any,
    engine: bool,
) -> None:
    given = [arrays[i].astype(np.float32) for i in attempt.free]
    fixed = attempt.way == "sample"
    names = {info.name for info in graph.inputs}
    named = zip((case.model.graph.input[i].name for i in attempt.free), given, strict=True)
    feeds = {name: value[None] if fixed else value for name, value in named if name in names}
    with np.errstate(all="ignore"):
        runs = [reference.run(graph, feeds)]
        if engine:
            ours = Engine(graph, 1)
            runs.append(ours.run(feeds))
            ours.close()
    for results in runs:
        for name, wanted in zip(graph.outputs, expected, strict=True):
            got = results[name][0] if fixed else results[name]
            half = wanted.dtype.name in ("float16", "bfloat16")
            np.testing.assert_equal(got.shape, wanted.shape)
            np.testing.assert_allclose(
                got.astype(np.float64), np.asarray(wanted, np.float64), rtol=max(case.rtol, 1e-2 if half else 0),
                atol=max(case.atol, 1e-3 if half else 2e-6),
            )  # fmt: skip


def _array(value: Any) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def _reason(message: str) -> str:
    """The importer's first hint, without the names and shapes of this one test."""
    hint = message.split("): ", 1)[-1].split("; '")[0] if "unsupported node" in message else message
    hint = hint.split(", got ")[0]
    return re.sub(r"^(its (input|output) \d+|input '\w+').*? is ", r"\1 is ", re.sub(r" \('\w+'\)", "", hint))
