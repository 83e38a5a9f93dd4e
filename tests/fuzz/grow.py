"""Files that grow: many of one thing, then the usual changes. A cost that grows faster than a file shows here."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

from tests.fuzz import mutate_model, mutate_onnx
from tests.fuzz.safetensors_parts import Parts

if TYPE_CHECKING:
    import onnx

COUNTS, ONNX_COUNTS = (40, 150, 600, 2500), (20, 60, 200, 600)


def model(data: bytes, mutations: list[int]) -> bytes:
    """A model file with many of something, by the first number, changed as ``mutate_model`` does by the others."""
    random, parts = Random(mutations[0]) if mutations else None, Parts.of(data)
    if random is None:
        return data
    random.choice(MODEL)(parts.graph, random.choice(COUNTS), random)
    return mutate_model.mutate(parts.join(parts.header(seal=True)), mutations[1:])


def onnx_model(data: bytes, mutations: list[int]) -> bytes:
    """The same for an ONNX file."""
    if not mutations:
        return data
    import onnx

    random, proto = Random(mutations[0]), onnx.ModelProto.FromString(data)
    random.choice(ONNX)(proto.graph, random.choice(ONNX_COUNTS), random)
    return mutate_onnx.mutate(proto.SerializeToString(deterministic=True), mutations[1:])


# --- model files ----------------------------------------------------------------------------------------------


def _tensors(graph: dict[str, Any]) -> int:
    return sum(len(graph[key]) for key in ("inputs", "constants", "nodes"))


def _deep(graph: dict[str, Any], count: int, random: Random) -> None:
    """A chain of one op behind the last node."""
    op = random.choice(("relu", "sigmoid", "identity", "flatten", "softmax", "global_avg_pool2d", "gelu"))
    first = _tensors(graph)
    graph["nodes"] += [[op, f"deep{i}", [first - 1 + i]] for i in range(count)]
    graph["outputs"] = [first - 1 + count]


def _alive(graph: dict[str, Any], count: int, random: Random) -> None:
    """Many readers of one tensor, all alive until one node has read them all."""
    first, source = _tensors(graph), random.choice((0, _tensors(graph) - 1))
    graph["nodes"] += [["relu", f"alive{i}", [source]] for i in range(count)]
    graph["nodes"].append(["concat", "all", list(range(first, first + count))])
    graph["outputs"] = [first + count]


def _read_again(graph: dict[str, Any], count: int, random: Random) -> None:
    """Some node, its weights and all, again and again."""
    node = random.choice(graph["nodes"])
    first = _tensors(graph)
    graph["nodes"] += [[node[0], f"again{i}", node[2], *node[3:4]] for i in range(count)]
    graph["outputs"] = [first + count - 1, first]


def _wide(graph: dict[str, Any], count: int, random: Random) -> None:
    first = _tensors(graph)
    graph["nodes"].append(["concat", "wide", [random.choice((0, first - 1))] * count])
    graph["outputs"] = [first]


def _many_ports(graph: dict[str, Any], count: int, random: Random) -> None:
    if random.random() < 0.5:
        graph["outputs"] = graph["outputs"] * count
        return
    before = len(graph["inputs"])
    graph["inputs"] += [[f"port{i}", [2]] for i in range(count)]
    for node in graph["nodes"]:
        node[2] = [n + count if n >= before else n for n in node[2]]
    graph["outputs"] = [n + count if n >= before else n for n in graph["outputs"]]


def _long_list(graph: dict[str, Any], count: int, random: Random) -> None:
    """A list of numbers, or a name, in the place of a short one."""
    node = random.choice(graph["nodes"])
    lists = [key for key, value in (node[3] if len(node) > 3 else {}).items() if isinstance(value, list)]
    if lists:
        node[3][random.choice(lists)] = [random.choice((1, 2, 2**31 - 1))] * count
    else:
        node[1] = "n" * count


def _tall(graph: dict[str, Any], count: int, random: Random) -> None:
    """Few bytes of file for a map of many lines, through several windows."""
    graph["inputs"], graph["constants"] = [["tall", [1, 30 * count, random.choice((1, 8, 40))]]], []
    window = {"kernel": [3, 1], "stride": [1, 1]}
    graph["nodes"] = [["max_pool2d", f"p{i}", [i], window] for i in range(3)]
    graph["nodes"].append(["resize", "r", [3], {"scale": [2, 1]}])
    graph["outputs"] = [4]


MODEL: list[Callable[[dict[str, Any], int, Random], None]] = [
    _deep, _alive, _read_again, _wide, _many_ports, _long_list, _tall,
]  # fmt: skip


# --- ONNX files -----------------------------------------------------------------------------------------------


def _last(graph: onnx.GraphProto) -> str:
    return graph.output[0].name


def _replace_output(graph: onnx.GraphProto, name: str) -> None:
    from onnx import TensorProto, helper

    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def _chain(graph: onnx.GraphProto, count: int, random: Random) -> None:
    from onnx import helper

    op = random.choice(("Relu", "Sigmoid", "Identity", "Flatten", "Softmax", "Mish", "HardSwish", "Erf"))
    names = [_last(graph), *(f"chain{i}" for i in range(count))]
    graph.node.extend(helper.make_node(op, [a], [b]) for a, b in pairwise(names))
    _replace_output(graph, names[-1])


def _fan(graph: onnx.GraphProto, count: int, random: Random) -> None:
    """Aliases or readers of one tensor, then all of them at once."""
    from onnx import helper

    op, names = random.choice(("Identity", "Relu", "Neg")), [f"fan{i}" for i in range(count)]
    graph.node.extend(helper.make_node(op, [_last(graph)], [name]) for name in names)
    if random.random() < 0.5:
        graph.node.append(helper.make_node("Concat", names, ["fanned"], axis=1))
        _replace_output(graph, "fanned")
    else:
        graph.output.extend(helper.make_tensor_value_info(name, 1, None) for name in names)


def _operands(graph: onnx.GraphProto, count: int, random: Random) -> None:
    from onnx import helper

    op = random.choice(("Concat", "Sum", "Max", "Mean"))
    attributes = {"axis": 1} if op == "Concat" else {}
    graph.node.append(helper.make_node(op, [_last(graph)] * count, ["operands"], **attributes))
    _replace_output(graph, "operands")


def _again(graph: onnx.GraphProto, count: int, random: Random) -> None:
    """Some node again and again, weights and all."""
    node = random.choice(list(graph.node))
    for i in range(count):
        new = graph.node.add()
        new.CopyFrom(node)
        new.name = f"again{i}"
        for place in range(len(new.output)):
            new.output[place] = f"again{i}.{place}"
    _replace_output(graph, f"again{count - 1}.0")


def _branches(graph: onnx.GraphProto, count: int, random: Random) -> None:
    """``If`` in ``If``, or one behind the other."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph.initializer.append(numpy_helper.from_array(np.array(True), "flag"))
    nested = random.random() < 0.5
    name, depth = _last(graph), min(count, 20) if nested else 0

    def branch(level: int) -> onnx.GraphProto:
        inner = [helper.make_node("Relu", [name], [f"inner{level}"])]
        if level:
            deeper = branch(level - 1)
            inner = [
                helper.make_node("If", ["flag"], [f"inner{level}"], then_branch=deeper, else_branch=branch(0))
            ]
        info = helper.make_tensor_value_info(f"inner{level}", TensorProto.FLOAT, None)
        return helper.make_graph(inner, f"branch{level}", [], [info])

    body = branch(depth)
    times = 1 if nested else min(count, 600)
    for i in range(times):
        graph.node.append(
            helper.make_node("If", ["flag"], [f"if{i}"], then_branch=body, else_branch=branch(0))
        )
    _replace_output(graph, f"if{times - 1}")


def _long_attribute(graph: onnx.GraphProto, count: int, random: Random) -> None:
    lists = [a for node in graph.node for a in node.attribute if a.ints]
    if lists:
        attribute = random.choice(lists)
        attribute.ints.extend([random.choice((0, 1, 2**31, 2**63 - 1))] * count)
    else:
        random.choice(list(graph.node)).name = "n" * count


ONNX: list[Callable[[onnx.GraphProto, int, Random], None]] = [
    _chain, _fan, _operands, _again, _branches, _long_attribute,
]  # fmt: skip
