"""What a rule sees of an ONNX node: plain Python values, no onnx."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.onnx_fold import Sizes
from sparsenet.graph import Shape


@dataclass(frozen=True)
class Call:
    """One ONNX node: inputs (None where absent), attributes, opset, names of its outputs.

    ``static_batch`` is the batch size the model was exported with, None if it is free.
    """

    b: GraphBuilder
    site: Site
    inputs: list[Value | Sizes | None]
    attrs: dict[str, Any]
    opset: int
    outputs: list[str]
    static_batch: int | None

    @property
    def x(self) -> Act:
        """The activation the node works on."""
        return self.act(0)

    @property
    def shape(self) -> Shape:
        """Shape of ``x``."""
        return self.b.shapes[self.x.tensor]

    def get(self, index: int) -> Value | Sizes | None:
        """Input by position, None if absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def act(self, index: int) -> Act:
        """Input that must depend on the network's input."""
        value = self.get(index)
        if not isinstance(value, Act):
            raise Unsupported(f"input {index} must depend on the network's input")
        return value

    def const(self, index: int, what: str) -> Const | None:
        """Input that must be a constant, None if absent."""
        value = self.get(index)
        if value is None or isinstance(value, Const):
            return value
        raise Unsupported(f"its {what} must be a constant")

    def operand(self, index: int) -> Value:
        """Either kind of input, as arithmetic takes it."""
        value = self.get(index)
        if not isinstance(value, Act | Const):
            raise Unsupported("arithmetic with the batch size is not supported")
        return value

    def numbers(self, index: int, attribute: str, before: int, what: str) -> list[int] | None:
        """Integers given as an attribute before opset ``before``, as a constant input from then on."""
        if self.opset < before:
            return self.attrs.get(attribute)
        value = self.const(index, what)
        return None if value is None else [int(v) for v in value.array.ravel()]

    def unary(self, op: str, **attrs: Any) -> Act:
        """A node that reads only ``x``."""
        return self.b.node(op, self.site, [self.x.tensor], attrs)


Rule = Callable[[Call], Value | Sizes | list[Act]]
