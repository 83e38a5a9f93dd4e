"""How ops treat a tensor of which only a part is valid: one axis, the first so many elements (see ``graph.Partial``).

Ops that work element by element, or row by row of another axis, pass it on: what they make of the padding is padding.
Whatever would mix padding with data, a sum along that axis for instance, is an error. Each op's rule is beside the
op; here is what several share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparsenet.graph.node import Partial
from sparsenet.graph.ops.sizes import Attrs
from sparsenet.graph.types import Shape


@dataclass(frozen=True)
class Operand:
    """An input: its name, its shape, and the part of it that is valid, None for all of it."""

    name: str
    shape: Shape
    part: Partial | None

    @property
    def axis(self) -> int | None:
        """The axis that is partial, if one is."""
        return None if self.part is None else self.part.axis

    @property
    def from_end(self) -> int | None:
        """The partial axis counted from the back, -1 being the last."""
        return None if self.axis is None else self.axis - len(self.shape)


#: (inputs, attributes, output shape) -> the part of the output that is valid; ValueError if there is no way.
PartialRule = Callable[[Sequence[Operand], Attrs, Shape], Partial | None]


def along(operands: Sequence[Operand], axis: int | None) -> Partial | None:
    """The part along ``axis`` of a result, as long as that of the inputs."""
    counts = dict.fromkeys(operand.part.count for operand in operands if operand.part is not None)
    if len(counts) > 1:
        raise ValueError("its inputs are parts of different sizes")
    return None if axis is None else Partial(axis, next(iter(counts)))


def same(operands: Sequence[Operand], _attrs: Attrs, _out: Shape) -> Partial | None:
    """The part of the first input that is valid."""
    return along(operands, operands[0].axis)


def broadcast(operands: Sequence[Operand], _attrs: Attrs, out: Shape) -> Partial | None:
    """Operands aligned at the back; what is not partial is repeated along the axis."""
    places = {operand.from_end for operand in operands if operand.from_end is not None}
    if len(places) != 1:
        raise ValueError("different axes of its inputs are partial")
    place = places.pop()
    for operand in operands:
        if operand.axis is None and len(operand.shape) >= -place and operand.shape[place] != 1:
            raise ValueError("an input that is whole there cannot be combined with it")
    return along(operands, place + len(out))


def beside(operands: Sequence[Operand], attrs: Attrs, _out: Shape) -> Partial | None:
    """The rule for ops along one axis, which must not be the partial one."""
    axes = {operand.axis for operand in operands}
    if len(axes) > 1:
        raise ValueError("some of its inputs are whole there, others not")
    if operands[0].axis == attrs["axis"]:
        raise ValueError(f"it cannot work along that axis ({attrs['axis']})")
    return along(operands, operands[0].axis)
