"""Layers that move data, alone, against ONNX Runtime: transposed convolutions, pixel shuffles, transpositions, slices.

    python -m bench.movement [WORD]    only cases whose name has the word in it

One thread each, taking turns; CPU time of the thread, so that what else runs on the machine counts little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper

from bench.measure.command import Parser, run
from converters import from_onnx
from sparsenet import Engine
from sparsenet.errors import InputError

ROUNDS, LEAST_SECONDS = 41, 0.002
Layer = tuple[list[Any], dict[str, np.ndarray]]


def _node(op: str, *weights: np.ndarray, **attrs: Any) -> Layer:
    constants = {f"w{i}": weight for i, weight in enumerate(weights)}
    return [helper.make_node(op, ["x", *constants], ["y"], **attrs)], constants


def _concat_of_slices(axis: int, first: int, size: int) -> Layer:
    """What begins at ``first``, then what stands before it."""
    ends = {"a": first, "b": size, "zero": 0, "axis": axis}
    constants = {name: np.asarray([number], np.int64) for name, number in ends.items()}
    nodes = [
        helper.make_node("Slice", ["x", "a", "b", "axis"], ["behind"]),
        helper.make_node("Slice", ["x", "zero", "a", "axis"], ["before"]),
        helper.make_node("Concat", ["behind", "before"], ["y"], axis=axis),
    ]
    return nodes, constants


def _weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def cases() -> dict[str, tuple[tuple[int, ...], Layer]]:
    """Name → shape of the input, nodes and constants."""
    out: dict[str, tuple[tuple[int, ...], Layer]] = {}
    for c_in, c_out, height, width in ((16, 16, 64, 80), (24, 24, 80, 80), (64, 32, 64, 64)):
        node = _node("ConvTranspose", _weight(c_in, c_out, 2, 2), strides=[2, 2])
        out[f"conv transpose k2 s2, {c_in} to {c_out}, {height} x {width}"] = (1, c_in, height, width), node
    node = _node("ConvTranspose", _weight(64, 32, 3, 3), strides=[2, 2], pads=[1] * 4, output_padding=[1, 1])
    out["conv transpose k3 s2, 64 to 32, 64 x 64"] = (1, 64, 64, 64), node
    node = _node("ConvTranspose", _weight(64, 32, 4, 4), strides=[2, 2], pads=[1] * 4)
    out["conv transpose k4 s2, 64 to 32, 64 x 64"] = (1, 64, 64, 64), node
    for block in (2, 3, 4):
        shape = (1, 16 * block * block, 48, 60)
        out[f"pixel shuffle {block}"] = shape, _node("DepthToSpace", blocksize=block, mode="CRD")
    for block in (2, 4):
        out[f"space to depth {block}"] = (1, 16, 192, 240), _node("SpaceToDepth", blocksize=block)
    for channels, size in ((3, 224), (32, 112), (64, 56), (256, 28)):
        nchw, nhwc = (1, channels, size, size), (1, size, size, channels)
        out[f"NCHW to NHWC, {channels} x {size}²"] = nchw, _node("Transpose", perm=[0, 2, 3, 1])
        out[f"NHWC to NCHW, {channels} x {size}²"] = nhwc, _node("Transpose", perm=[0, 3, 1, 2])
    out["attention's heads"] = (1, 196, 3, 6, 32), _node("Transpose", perm=[0, 2, 3, 1, 4])
    out["attention's keys"] = (1, 6, 196, 32), _node("Transpose", perm=[0, 1, 3, 2])
    out["windows"] = (1, 8, 7, 8, 7, 96), _node("Transpose", perm=[0, 1, 3, 2, 4, 5])
    out["windows shifted back"] = (1, 56, 56, 96), _concat_of_slices(1, 3, 56)
    every_second = [np.asarray(v, np.int64) for v in ([0, 0], [2**31, 2**31], [2, 3], [2, 2])]
    out["every second pixel"] = (1, 12, 320, 320), _node("Slice", *every_second)
    out["one number per line"] = (1, 96, 56, 1), _node("Expand", np.asarray([1, 96, 56, 56], np.int64))
    out["a call alone: ReLU of one number"] = (1, 1, 1, 1), _node("Relu")
    out["channel shuffle"] = (1, 3, 80, 28, 28), _node("Transpose", perm=[0, 2, 1, 3, 4])
    return out


def _model(shape: tuple[int, ...], nodes: list[Any], constants: dict[str, np.ndarray]) -> ModelProto:
    graph = helper.make_graph(
        nodes, "case", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def measure(model: ModelProto, x: np.ndarray) -> tuple[float, float]:
    """Median milliseconds of CPU time: the engine, ONNX Runtime.

    Raises:
        AssertionError: they do not agree.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    engine = Engine(from_onnx(model), threads=1)
    expected, got = session.run(None, {"x": x})[0], engine(x)
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
    runs: list[Callable[[], Any]] = [lambda: engine(x), lambda: session.run(None, {"x": x})]
    repeats = [max(1, round(LEAST_SECONDS / _seconds(run, 3))) for run in runs]
    rounds = [[_seconds(run, count) for run, count in zip(runs, repeats, strict=True)] for _ in range(ROUNDS)]
    ours, theirs = 1e3 * np.median(rounds, axis=0)
    return float(ours), float(theirs)


def _seconds(run: Callable[[], Any], count: int) -> float:
    start = time.thread_time()
    for _ in range(count):
        run()
    return (time.thread_time() - start) / count


def main() -> None:
    """One line per case."""
    parser = Parser(prog="python -m bench.movement", description=__doc__.splitlines()[0])
    parser.add_argument("word", nargs="?", default="", help="only cases whose name has it in it")
    word = parser.parse_args().word
    if not any(word in name for name in cases()):
        raise InputError(f"no case has '{word}' in its name; there are {', '.join(cases())}")
    print("| layer | ms | ONNX Runtime, ms | ratio |\n| --- | --- | --- | --- |")
    for name, (shape, (nodes, constants)) in cases().items():
        if word in name:
            ours, theirs = measure(_model(shape, nodes, constants), _weight(*shape))
            print(f"| {name} | {ours:.3f} | {theirs:.3f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    run(main, "bench.movement")
