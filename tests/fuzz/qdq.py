"""Quantized ONNX models to start from, and changes to what quantizes them: scales, zero points, axes, types."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.converters.onnx.models import model, node, weights
from tests.fuzz import mutate_onnx
from tests.fuzz.numbers import FLOATS, integer
from tests.fuzz.seeds import written

#: Where the scale is among the inputs of each operator, and the zero point behind it; both once more for a second.
_SCALES = {
    "QuantizeLinear": (1,),
    "DequantizeLinear": (1,),
    "QLinearConv": (1, 4, 6),
    "QLinearMatMul": (1, 4, 6),
    "QLinearAdd": (1, 4, 6),
    "QLinearGlobalAveragePool": (1, 3),
    "QGemm": (1, 4, 7),
    "ConvInteger": (2,),
    "MatMulInteger": (2,),
}
_TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32)


def files() -> list[bytes]:
    """Networks with a rounding behind every node, weights as int8, and operators on bytes."""
    from bench.engines.onnx_writer import to_onnx

    made = [rounded(to_onnx(graph, 2), signed=i % 2 > 0) for i, graph in enumerate(written())]
    return [one.SerializeToString(deterministic=True) for one in (*made, *_on_bytes())]


def rounded(proto: onnx.ModelProto, signed: bool) -> onnx.ModelProto:
    """The model with its weights as int8, by output channel, and a rounding behind whatever makes floats."""
    graph, kind = proto.graph, np.int8 if signed else np.uint8
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    constants = {"all.s": np.float32(0.03), "all.z": kind(0 if signed else 128)}
    nodes: list[onnx.NodeProto] = []
    weighted = {n.input[1] for n in graph.node if n.op_type == "Conv" and n.input[1] in arrays}
    for name in sorted(weighted):
        array = arrays.pop(name)
        scale = np.maximum(np.abs(array).reshape(len(array), -1).max(axis=1), 1e-9).astype(np.float32) / 127
        steps = np.rint(array / scale.reshape(-1, *[1] * (array.ndim - 1)))
        constants |= {f"{name}.q": steps.astype(np.int8), f"{name}.s": scale}
        nodes.append(node("DequantizeLinear", f"{name}.q {name}.s", name, axis=0))
    renamed: dict[str, str] = {}

    def rounding(name: str) -> list[onnx.NodeProto]:
        renamed[name] = f"{name}.d"
        both = ["all.s", "all.z"]
        return [
            helper.make_node("QuantizeLinear", [name, *both], [f"{name}.b"], name=f"{name}.quantize"),
            helper.make_node("DequantizeLinear", [f"{name}.b", *both], [f"{name}.d"], name=f"{name}.back"),
        ]

    floats = {i.name for i in graph.input}
    nodes += [one for i in graph.input for one in rounding(i.name)]
    for one in graph.node:
        for place, name in enumerate(one.input):
            one.input[place] = renamed.get(name, name)
        nodes.append(one)
        if any(name in renamed.values() or name in floats for name in one.input):
            floats.update(one.output)
            nodes += [r for name in one.output if name for r in rounding(name)]
    for output in graph.output:
        nodes.append(node("Identity", renamed.get(output.name, output.name), f"{output.name}.out"))
        output.name += ".out"
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in (arrays | constants).items())
    return proto


def _on_bytes() -> list[onnx.ModelProto]:
    chain = [
        node("QuantizeLinear", "x s z", "a"),
        node("QLinearConv", "a s z w v u s z b", "c", pads=[1, 1, 1, 1]),
        node("QLinearAdd", "c s z a s z s z", "d", domain="com.microsoft"),
        node("QLinearGlobalAveragePool", "d s z s z", "e", domain="com.microsoft"),
        node("Flatten", "e", "f"),
        node("QGemm", "f s z m t u n s z", "g", domain="com.microsoft", transB=1),
        node("DequantizeLinear", "g s z", "y"),
    ]
    integers = [
        node("QuantizeLinear", "x s z", "a"),
        node("ConvInteger", "a w z u", "c", pads=[1, 1, 1, 1]),
        node("Cast", "c", "d", to=onnx.TensorProto.FLOAT),
        node("Mul", "d t", "y"),
    ]
    constants = {
        "s": np.float32(0.04), "z": np.uint8(120), "t": np.float32(0.01), "u": np.int8(0),
        "v": np.float32([0.01, 0.02, 0.01, 0.03]), "b": np.arange(4, dtype=np.int32),
        "w": np.rint(40 * weights(4, 4, 3, 3)).clip(-127, 127).astype(np.int8),
        "m": np.rint(40 * weights(5, 4)).clip(-127, 127).astype(np.int8), "n": np.arange(5, dtype=np.int32),
    }  # fmt: skip
    made = []
    for nodes in (chain, integers):
        read = {name for one in nodes for name in one.input}
        made.append(model(nodes, {n: np.asarray(a) for n, a in constants.items() if n in read}))
    made[0].opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


def mutate(data: bytes, mutations: list[int]) -> bytes:
    """Two thirds of the changes are to what quantizes, the others to anything in an ONNX model."""
    proto = onnx.ModelProto.FromString(data)
    others = []
    for number in mutations:
        random = Random(number)
        if random.random() < 2 / 3:
            _change(proto, random)
        else:
            others.append(number)
    return mutate_onnx.mutate(proto.SerializeToString(deterministic=True), others)


def _change(proto: onnx.ModelProto, random: Random) -> None:
    nodes = [n for n in proto.graph.node if n.op_type in _SCALES]
    one = random.choice(nodes)
    place = random.choice(_SCALES[one.op_type]) + random.choice((0, 1))
    kind = random.randrange(8)
    if kind == 0:
        one.attribute.append(
            helper.make_attribute(
                random.choice(("axis", "block_size", "output_dtype")), integer(random) % 2**31
            )
        )
    elif kind == 1 and place < len(one.input):
        one.input[place] = random.choice(("", *(t.name for t in proto.graph.initializer)))
    elif kind == 2 and len(one.input) > 2:
        del one.input[-1]
    elif place < len(one.input):
        _own(proto, one, place, random)


def _own(proto: onnx.ModelProto, one: onnx.NodeProto, place: int, random: Random) -> None:
    """A scale or zero point of its own for one node, or another one for all that share it."""
    shared = random.random() < 0.5
    for tensor in list(proto.graph.initializer):
        if tensor.name == one.input[place]:
            name = tensor.name if shared else f"{tensor.name}.of.{one.name}.{place}"
            array = _changed(numpy_helper.to_array(tensor), random)
            if shared:
                tensor.CopyFrom(numpy_helper.from_array(array, name))
            else:
                proto.graph.initializer.append(numpy_helper.from_array(array, name))
                one.input[place] = name
            return


def _changed(array: np.ndarray, random: Random) -> np.ndarray:
    """Another number, type or shape."""
    kind = random.randrange(5)
    with np.errstate(all="ignore"), suppress(ValueError, OverflowError):
        if kind == 0:
            return array.astype(random.choice(_TYPES))
        if kind == 1:
            return np.resize(array, random.choice(((), (1,), (2,), (4,), (6,), (1, 1), (0,), (3, 2))))
        changed = np.array(array)
        at = random.randrange(array.size)  # ValueError of one without elements
        if array.dtype.kind == "f":
            changed.reshape(-1)[at] = random.choice((*FLOATS, np.nan, np.inf, 1.2e-38, 8e37, 0.01, 0.3))
        else:
            info = np.iinfo(array.dtype)
            changed.reshape(-1)[at] = min(
                max(integer(random, int(changed.reshape(-1)[at])), info.min), info.max
            )
        return changed
    return array
