"""The graph as JSON: everything of a model file but the numbers of its constants.

Tensors are numbered: graph inputs first, then constants, then the output of each node in order; an absent optional
input is -1. Because a node can only name smaller numbers, a cycle cannot be written. The layout is documented in
docs/model_file.md. Reading trusts nothing: every field is checked before a Graph is built.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsenet.errors import ModelFileError
from sparsenet.graph import Graph, Node, TensorInfo
from sparsenet.graph.ops import MAX_RANK, OPS
from sparsenet.graph.ops.attribute import is_int, is_ints, is_number
from sparsenet.graph.quantization import Quantization
from sparsenet.graph.size_of import Follows, SizeOf
from sparsenet.graph.types import U8
from sparsenet.io import strict_json
from sparsenet.io.formats.storage import GRIDS
from sparsenet.limits import require_countable

MAX_NAME = 1024


@dataclass(frozen=True)
class ConstantEntry:
    """How one constant is stored: its encoding ("dense", "bitmask", "csr_u16_u32", …) and values ("f32", …).

    Values with a grid say by themselves that the constant is quantized, and how.
    """

    name: str
    shape: tuple[int, ...]
    encoding: str
    values: str


def dump(graph: Graph, constants: Sequence[ConstantEntry]) -> str:
    """The JSON text of ``graph``, its constants described by ``constants``; attributes at their default left out.

    Raises:
        ModelFileError: a name or attribute cannot be written as JSON.
    """
    names = (
        [info.name for info in graph.inputs] + [c.name for c in constants] + [n.output for n in graph.nodes]
    )
    number = {name: i for i, name in enumerate(names)} | {"": -1}
    nodes = []
    for node in graph.nodes:
        defaults = OPS[node.op].defaults
        kept = node.follows.keys() | node.attrs.keys() - defaults.keys()
        attrs = {k: v for k, v in node.attrs.items() if k in kept or v != defaults[k]}
        if not node.epilogue:
            attrs.pop("epilogue", None)
        entry: list[Any] = [node.op, node.name, [number[name] for name in node.inputs]]
        if node.follows:
            entry += [attrs, node.output, _follows_entry(node, number)]
        elif node.output != node.name:
            entry += [attrs, node.output]
        elif attrs:
            entry += [attrs]
        nodes.append(entry)
    document: dict[str, Any] = {
        "name": graph.name,
        "inputs": [_input_entry(info) for info in graph.inputs],
        "constants": [_constant_entry(c) for c in constants],
        "nodes": nodes,
        "outputs": [number[name] for name in graph.outputs],
    }
    if graph.metadata:
        document["metadata"] = graph.metadata
    grids = [
        _grid_entry(number[name], grid) for name, grid in graph.quantization.items() if grid.element is U8
    ]
    if grids:
        document["quantization"] = sorted(grids)
    try:
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()  # half a surrogate pair is a Python string, but no text
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"the graph has a name or attribute that JSON cannot hold: {error}") from None
    return text


def _grid_entry(tensor: int, grid: Quantization) -> list[Any]:
    scale = np.float32(grid.scale)
    short = float(
        str(scale)
    )  # the decimal that tells it from its neighbours; read by way of a float64, it nearly
    entry = [tensor, short if np.float32(short) == scale else float(scale)]  # always comes out the same
    return [*entry, int(grid.zero_point)] if grid.zero_point else entry


def _input_entry(info: TensorInfo) -> list[Any]:
    entry: list[Any] = [info.name, list(info.shape[1:])]
    if info.open:
        entry.append(list(info.open))
    return [*entry, info.step] if info.open and info.step != 1 else entry


def _follows_entry(node: Node, number: Mapping[str, int]) -> dict[str, list[list[int]]]:
    return {
        name: [
            [place, number[s.tensor], s.axis, s.times, s.plus, s.over, s.modulo, int(s.exact)]
            for place, s in sorted(places.items())
        ]
        for name, places in node.follows.items()
    }


def _constant_entry(constant: ConstantEntry) -> list[Any]:
    entry: list[Any] = [constant.name, list(constant.shape), constant.encoding, constant.values]
    if constant.values == "f32":
        entry.pop()
        if constant.encoding == "dense":
            entry.pop()
    return entry


def parse(text: str) -> tuple[Graph, list[ConstantEntry]]:
    """The Graph in ``text``, its constants and their grids still missing, and the entries that describe them.

    Raises:
        ModelFileError: with the field that is wrong.
        MemoryLimitError: it has more nodes, say, than any graph may have.
    """
    try:
        document = strict_json.parse(text)
    except ValueError as error:
        raise ModelFileError(f"the graph is not valid JSON: {error}") from None
    expected = {"name", "inputs", "constants", "nodes", "outputs"}
    if not isinstance(document, dict) or not expected <= document.keys() <= expected | {
        "metadata",
        "quantization",
    }:
        raise ModelFileError(f"the graph must be an object with the keys {', '.join(sorted(expected))}")
    _check_counts(document)
    inputs = [_input(entry) for entry in _list(document["inputs"], "inputs")]
    constants = [_constant(entry) for entry in _list(document["constants"], "constants")]
    names = [info.name for info in inputs] + [constant.name for constant in constants]
    nodes = []
    for entry in _list(document["nodes"], "nodes"):
        nodes.append(_node(entry, names))
        names.append(nodes[-1].output)
    outputs = [_tensor(i, names, "outputs") for i in _list(document["outputs"], "outputs")]
    metadata = document.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ModelFileError("metadata must map text to text")
    grids = _grids(document.get("quantization", []), names, {c.name for c in constants if c.values in GRIDS})
    return Graph(_text(document["name"], "name"), inputs, outputs, nodes, {}, metadata, grids), constants


def _grids(entries: Any, names: Sequence[str], weights: Set[str]) -> dict[str, Quantization]:
    """The grids of computed tensors, by name; whether they can be grids, ``Graph.verify`` checks."""
    grids: dict[str, Quantization] = {}
    for entry in _list(entries, "quantization"):
        fields = _fields(entry, 2, 3, "quantization")
        name = _tensor(fields[0], names, "quantization")
        scale, zero_point = fields[1], fields[2] if len(fields) > 2 else 0
        if not is_number(scale) or not is_int(zero_point):
            raise ModelFileError(f"the quantization of '{name}' cannot be {_short(fields[1:])}")
        if name in grids or name in weights:
            raise ModelFileError(f"'{name}' is quantized twice")
        with np.errstate(over="ignore"):
            grids[name] = Quantization.of_activations(scale, zero_point)
    return grids


def _check_counts(document: Mapping[str, Any]) -> None:
    """Raise MemoryLimitError if there is more than a graph may have, before anything is made of it."""
    parts = {key: _list(document[key], key) for key in ("inputs", "constants", "nodes", "outputs")}
    operands = (node[2] for node in parts["nodes"] if isinstance(node, list) and len(node) > 2)
    require_countable(
        nodes=len(parts["nodes"]),
        operands=sum(len(names) for names in operands if isinstance(names, list)),
        constants=len(parts["constants"]),
        ports=len(parts["inputs"]) + len(parts["outputs"]),
    )


def _input(entry: Any) -> TensorInfo:
    fields = _fields(entry, 2, 4, "input")
    name = _name(fields[0], "input")
    shape = (None, *_shape(fields[1], f"input '{name}'"))
    axes = fields[2] if len(fields) > 2 else []
    if (
        not is_ints(axes)
        or sorted(set(axes)) != axes
        or any(axis not in range(1, len(shape)) for axis in axes)
    ):
        raise ModelFileError(f"input '{name}': its open dimensions cannot be {_short(axes)}")
    step = fields[3] if len(fields) > 3 else 1
    if not is_int(step) or step < 1:
        raise ModelFileError(f"input '{name}': its step cannot be {_short(step)}")
    return TensorInfo(name, shape, open=tuple(axes), step=step)


def _constant(entry: Any) -> ConstantEntry:
    fields = _fields(entry, 2, 4, "constant")
    name = _name(fields[0], "constant")
    shape = _shape(fields[1], f"constant '{name}'")
    encoding, values = (
        _text(v, f"constant '{name}'") for v in (*fields[2:], *("dense", "f32")[len(fields) - 2 :])
    )
    return ConstantEntry(name, shape, encoding, values)


def _node(entry: Any, names: Sequence[str]) -> Node:
    fields = _fields(entry, 3, 6, "node")
    op, name = _text(fields[0], "op"), _name(fields[1], "node")
    where = f"node '{name}'"
    inputs = [
        "" if i == -1 and not isinstance(i, bool) else _tensor(i, names, where)
        for i in _list(fields[2], where)
    ]
    attrs = fields[3] if len(fields) > 3 else {}
    if not isinstance(attrs, dict):
        raise ModelFileError(f"{where}: attributes must be an object")
    if op not in OPS:
        raise ModelFileError(f"{where} has the unknown op {_short(op)}")
    known = OPS[op].known_attributes
    for key, value in attrs.items():
        if key not in known or not known[key].holds(value):
            raise ModelFileError(f"{where}: attribute {key!r} is unknown or cannot be {_short(value)}")
    output = _name(fields[4], "tensor") if len(fields) > 4 else name
    follows = _follows(fields[5], names, where) if len(fields) > 5 else {}
    return Node(op, name, inputs, [output], attrs, follows)


def _follows(entry: Any, names: Sequence[str], where: str) -> Follows:
    """The node's numbers that follow from sizes; what each number is, ``Graph.verify`` checks."""
    if not isinstance(entry, dict):
        raise ModelFileError(f"{where}: what its numbers follow from must be an object")
    found: Follows = {}
    for key, places in entry.items():
        found[key] = {}
        for fields in _list(places, where):
            if not is_ints(fields) or len(fields) != 8 or fields[7] not in (0, 1):
                raise ModelFileError(f"{where}: {key!r} cannot follow from {_short(fields)}")
            place, tensor, axis, times, plus, over, modulo, exact = fields
            source = SizeOf(_tensor(tensor, names, where), axis, times, plus, over, modulo, bool(exact))
            found[key][place] = source
    return found


# --- single fields --------------------------------------------------------------------------------------------


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ModelFileError(f"{where} must be a list, not {_short(value)}")
    return value


def _fields(value: Any, least: int, most: int, what: str) -> list[Any]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise ModelFileError(f"a {what} must be a list of {least} to {most} fields, not {_short(value)}")
    return value


def _text(value: Any, where: str) -> str:
    # Printable text only: a name ends up on a terminal, and lone surrogates cannot even be written to one.
    if not isinstance(value, str) or len(value) > MAX_NAME or not value.isprintable():
        raise ModelFileError(
            f"{where}: expected printable text of at most {MAX_NAME} characters, not {_short(value)}"
        )
    return value


def _name(value: Any, what: str) -> str:
    if value == "":
        raise ModelFileError(f"a {what} has an empty name")
    return _text(value, f"name of a {what}")


def _shape(value: Any, where: str) -> tuple[int, ...]:
    if not is_ints(value) or len(value) > MAX_RANK or any(d < 1 for d in value):
        raise ModelFileError(f"{where}: a shape is at most {MAX_RANK} positive integers, not {_short(value)}")
    return tuple(value)


def _tensor(value: Any, names: Sequence[str], where: str) -> str:
    if not is_int(value) or not 0 <= value < len(names):
        raise ModelFileError(
            f"{where} refers to tensor {_short(value)}; only 0 … {len(names) - 1} exist there"
        )
    index: int = value
    return names[index]


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
