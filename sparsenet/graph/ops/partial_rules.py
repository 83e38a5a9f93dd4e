"""How ops treat a tensor of which only a part is meant: one axis, the first so many elements (see ``graph.Partial``).

Ops that work element by element, or row by row of another axis, pass it on: what they make of the padding is padding.
Whatever would mix padding with data, a sum along that axis for instance, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from sparsenet.errors import GraphError
from sparsenet.graph.node import Node, Partial
from sparsenet.graph.ops import ACTIVATIONS, attributes, split_inputs
from sparsenet.graph.types import Shape


@dataclass(frozen=True)
class Operand:
    """An input: its shape, and the axis that is partial, if one is."""

    shape: Shape
    axis: int | None

    @property
    def from_end(self) -> int | None:
        """The partial axis counted from the back, -1 being the last."""
        return None if self.axis is None else self.axis - len(self.shape)


#: (inputs, attributes, output shape) -> the output's partial axis; ValueError if there is no way.
Rule = Callable[[Sequence[Operand], Mapping[str, Any], Shape], int | None]


def partial_of(node: Node, shapes: Mapping[str, Shape], known: Mapping[str, Partial]) -> Partial | None:
    """Which part of ``node``'s output is meant, None for all of it; ``known`` tells of its inputs.

    Raises:
        GraphError: the node cannot work on such inputs; the message names it.
    """
    if node.op != "first" and not any(name in known for name in node.inputs):
        return None
    own, extra = split_inputs(node)
    operands = [
        Operand(shapes[name], known[name].axis if name in known else None) for name in own if name in shapes
    ]
    # Where an index picks elements, the result has as many as there are indices.
    picks = node.op in ("gather_elements", "gather_nd")
    counts = [known[name].count for name in (reversed(own) if picks else node.inputs) if name in known]
    try:
        if node.op not in RULES:
            raise ValueError("it needs all of its input")
        axis = RULES[node.op](operands, attributes(node), shapes[node.output])
        if any(name in known and known[name].axis != axis for name in extra):
            raise ValueError("what it adds is another part")
        if node.op == "fill" and axis is None and counts != node.inputs[1:]:
            raise ValueError("it is not padded up to that count")
        if len(set(counts)) > 1 and not picks:
            raise ValueError("its inputs are parts of different sizes")
    except ValueError as error:
        reason = f"how many elements its input has depends on the data: {error}"
        raise GraphError(f"node '{node.name}' ({node.op}): {reason}") from None
    if axis is None:
        return None
    return Partial(axis, node.inputs[1] if node.op == "first" else counts[0])


def _first(operands: Sequence[Operand], attrs: Mapping[str, Any], _out: Shape) -> int | None:
    if any(operand.axis is not None for operand in operands):
        raise ValueError("it is a part already")
    return int(attrs["axis"])


def _fill(operands: Sequence[Operand], attrs: Mapping[str, Any], _out: Shape) -> int | None:
    if operands[1].axis is not None:
        raise ValueError("its count is a part")
    return None if operands[0].axis == attrs["axis"] else operands[0].axis


def _same(operands: Sequence[Operand], _attrs: Mapping[str, Any], _out: Shape) -> int | None:
    return operands[0].axis


def _broadcast(operands: Sequence[Operand], _attrs: Mapping[str, Any], out: Shape) -> int | None:
    """Operands aligned at the back; what is not partial is repeated along the axis."""
    places = {operand.from_end for operand in operands if operand.from_end is not None}
    if len(places) != 1:
        raise ValueError("different axes of its inputs are partial")
    place = places.pop()
    for operand in operands:
        if operand.axis is None and len(operand.shape) >= -place and operand.shape[place] != 1:
            raise ValueError("an input that is whole there cannot be combined with it")
    return place + len(out)


def _beside(operands: Sequence[Operand], attrs: Mapping[str, Any], _out: Shape) -> int | None:
    """Ops along one axis, which must be another."""
    axes = {operand.axis for operand in operands}
    if len(axes) > 1:
        raise ValueError("some of its inputs are whole there, others not")
    if operands[0].axis == attrs["axis"]:
        raise ValueError(f"it cannot work along that axis ({attrs['axis']})")
    return operands[0].axis


def _slice(operands: Sequence[Operand], attrs: Mapping[str, Any], out: Shape) -> int | None:
    if operands[0].axis == attrs["axis"] and attrs["start"] == 0 and attrs["step"] == 1:
        return operands[0].axis  # the first few of the first so many
    return _beside(operands, attrs, out)


def _reduce(operands: Sequence[Operand], attrs: Mapping[str, Any], _out: Shape) -> int | None:
    axis = operands[0].axis
    assert axis is not None
    if axis in attrs["axes"]:
        raise ValueError(f"it cannot work along that axis ({axis})")
    return axis if attrs["keepdims"] else axis - sum(gone < axis for gone in attrs["axes"])


def _normalize(operands: Sequence[Operand], attrs: Mapping[str, Any], _out: Shape) -> int | None:
    axis = operands[0].axis
    if axis is not None and axis >= attrs["axis"]:
        raise ValueError(f"it cannot work along that axis ({axis})")
    return axis


def _reshape(operands: Sequence[Operand], _attrs: Mapping[str, Any], out: Shape) -> int | None:
    """The axis must stay what it is: of its size, with as many elements in front of it."""
    shape, axis = operands[0].shape, operands[0].axis
    assert axis is not None
    for place in range(1, len(out)):
        if out[place] == shape[axis] and _elements(out[1:place]) == _elements(shape[1:axis]):
            return place
    raise ValueError(f"{shape} to {out} would mix that axis ({axis}) with others")


def _elements(shape: Shape) -> int:
    return prod(int(d or 1) for d in shape)


def _transpose(operands: Sequence[Operand], attrs: Mapping[str, Any], _out: Shape) -> int | None:
    return list(attrs["perm"]).index(operands[0].axis)


def _expand(operands: Sequence[Operand], _attrs: Mapping[str, Any], out: Shape) -> int | None:
    shape, axis = operands[0].shape, operands[0].axis
    if axis is None or out[axis] != shape[axis]:
        raise ValueError("that axis cannot be repeated")
    return axis


def _matmul(operands: Sequence[Operand], _attrs: Mapping[str, Any], out: Shape) -> int | None:
    a, b = operands
    if a.from_end == -1 or b.from_end == -2:
        raise ValueError("it cannot sum along that axis")
    if a.from_end == -2 or b.from_end == -1:
        if a.axis is not None and b.axis is not None:
            raise ValueError("different axes of its inputs are partial")
        return len(out) + (-2 if b.axis is None else -1)
    return _broadcast(operands, {}, out)


def _gather_elements(operands: Sequence[Operand], attrs: Mapping[str, Any], _out: Shape) -> int | None:
    x, indices = operands
    if x.axis not in (None, attrs["axis"], indices.axis):
        raise ValueError("its indices are not partial on the same axis")
    return indices.axis


def _gather_nd(operands: Sequence[Operand], _attrs: Mapping[str, Any], _out: Shape) -> int | None:
    x, indices = operands
    depth = int(indices.shape[-1] or 0)
    if indices.from_end == -1:
        raise ValueError("an index cannot be partial itself")
    if x.axis is None or x.axis <= depth:
        return indices.axis  # what an index picks is an element that is meant
    if indices.axis is not None:
        raise ValueError("different axes of its inputs are partial")
    return len(indices.shape) - 2 + x.axis - depth


RULES: dict[str, Rule] = {
    "first": _first,
    "fill": _fill,
    **dict.fromkeys((*ACTIVATIONS, "identity", "dropout", "affine", "batch_norm"), _same),
    **dict.fromkeys(("add", "sub", "mul", "div", "pow", "maximum", "minimum"), _broadcast),
    **dict.fromkeys(("greater", "less", "equal", "where"), _broadcast),
    **dict.fromkeys(("concat", "gather", "softmax", "argmax", "top_k"), _beside),
    "slice": _slice,
    "reduce": _reduce,
    "normalize": _normalize,
    **dict.fromkeys(("flatten", "reshape"), _reshape),
    "transpose": _transpose,
    "expand": _expand,
    "matmul": _matmul,
    "gather_elements": _gather_elements,
    "gather_nd": _gather_nd,
}
