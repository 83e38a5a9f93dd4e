"""The schema of an op: its entry in the op table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sparsenet.graph.ops.attribute import EPILOGUE, Attribute
from sparsenet.graph.ops.parts import PartialRule
from sparsenet.graph.ops.sizes import Attrs, Shapes
from sparsenet.graph.types import Shape

#: (input shapes, attributes with defaults) -> output shape; ValueError with the reason if there is none.
ShapeRule = Callable[[Shapes, Attrs], Shape]


@dataclass(frozen=True)
class OpSchema:
    """Everything about an op that does not depend on what it runs on.

    Traits are what passes may rely on. One that is not claimed says nothing: a pass then leaves the op alone.

    Attributes:
        inputs: names of the op's own inputs; a trailing ``?`` marks an optional one (empty string in the node).
        infer: its shape rule.
        attrs: its attributes by name.
        partial: its rule for inputs of which only a part is valid (see ``parts``); None: it needs all of its inputs.
        constants: those of its inputs that must be constants.
        sizes_only: those of its inputs of which only the shape counts.
        epilogue: whether it may carry a fused epilogue.
        variadic: whether it takes any number of inputs, each as its only name says.
        makes_part: trait; only a part of its result is valid even if all of its inputs are.
        elementwise: trait; each number of the result depends on the numbers at its own place alone, inputs broadcast.
        arithmetic: trait; elementwise over several inputs, and NaN wherever one of them is NaN.
        per_channel: trait; each channel (dimension 1) of the result depends on the same channel of x alone, and on its
            entry in each of the op's constants, which are (C,).
        per_pixel: trait; per channel, and each number on that at its own place alone, all pixels alike; NaN stays NaN.
        zero_absorbing: trait; arithmetic, and 0 wherever one of its inputs is 0, if the others are finite.
        along_axis: trait; moves numbers along the axis that its attribute ``axis`` names, all other axes alike.
        joins: trait; along an axis, and its result is its inputs one behind the other there.
        keeps_order: trait; the numbers of x in C order, in another shape.
        returns_input: trait; the result is x.
        sign_keeping: trait; no number of the result is negative where none of x is.
        places: trait; its result says where in x something is: another place altogether if x changes by a little.
        integer: trait; how it is computed where its tensors are quantized, one of ``graph.integer.KINDS``.
        windowed: trait; slides a window over the rows and columns of x, by its attributes ``stride`` and ``padding``.
        weighted: trait; a product of x with a constant (outputs, inputs of a group, …), its second input, plus (if
            there is one) a constant (outputs,), its third.
    """

    inputs: tuple[str, ...]
    infer: ShapeRule
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    partial: PartialRule | None = None
    constants: tuple[str, ...] = ()
    sizes_only: tuple[str, ...] = ()
    epilogue: bool = False
    variadic: bool = False
    makes_part: bool = False
    elementwise: bool = False
    arithmetic: bool = False
    per_channel: bool = False
    per_pixel: bool = False
    zero_absorbing: bool = False
    along_axis: bool = False
    joins: bool = False
    keeps_order: bool = False
    returns_input: bool = False
    sign_keeping: bool = False
    places: bool = False
    integer: str = ""
    windowed: bool = False
    weighted: bool = False

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """Names of the inputs, without the mark of optional ones."""
        return tuple(name.rstrip("?") for name in self.inputs)

    @cached_property
    def known_attributes(self) -> Mapping[str, Attribute]:
        """Every attribute that a node may have, the epilogue among them."""
        return {**self.attrs, "epilogue": EPILOGUE} if self.epilogue else self.attrs

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """Attribute name → default; ``REQUIRED`` where there is none."""
        return {name: attribute.default for name, attribute in self.attrs.items()}
