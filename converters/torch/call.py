"""An ATen call as rules see it. No torch import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.elementwise import binary
from converters.decompose.shapes import axis_of
from sparsenet.graph import Shape


@dataclass(frozen=True)
class Call:
    """One ATen call: arguments by schema name (tensors as Act or Const), shape of the result (batch None)."""

    b: GraphBuilder
    site: Site
    args: dict[str, Any]
    out_shape: Shape | None

    def __getitem__(self, name: str) -> Any:
        return self.args[name]

    @property
    def x(self) -> Act:
        """The activation the call works on."""
        value = self.args.get("self", self.args.get("input"))
        if not isinstance(value, Act):
            raise Unsupported("the first operand must depend on the input")
        return value

    @property
    def rank(self) -> int:
        """Number of dimensions of ``x``, the batch among them."""
        return len(self.b.shapes[self.x.tensor])

    @property
    def sizes(self) -> list[int]:
        """Sizes of ``x`` behind the batch."""
        return [int(d or 0) for d in self.b.shapes[self.x.tensor][1:]]

    def axis(self, axis: int) -> int:
        """An axis of ``x``, which may count from the back; Unsupported if it is the batch."""
        return axis_of(axis, self.rank)

    def axes(self, given: Any) -> list[int]:
        """Axes to reduce; none given means every one."""
        if given is None or (isinstance(given, list) and not given):
            given = range(self.rank)
        return sorted(self.axis(a) for a in ([given] if isinstance(given, int) else given))

    def at(self, part: str) -> Site:
        """The site of a helper node, or of the main one."""
        return self.site.sub(part) if part else self.site

    def binary(self, op: str, left: Value, right: Value, part: str = "") -> Act:
        """Arithmetic with broadcasting; ``part`` names a helper node in front of the main one."""
        return binary(self.b, self.at(part), op, left, right)

    def unary(self, op: str, **attrs: Any) -> Act:
        """A node that reads only ``x``."""
        return self.b.node(op, self.site, [self.x.tensor], attrs)


Result = Value | Sequence[Value | Callable[[], Value]]
Rule = Callable[[Call], Result]


def operand(value: Any) -> Value:
    """A tensor, or a number as a constant."""
    if isinstance(value, Act | Const):
        return value
    if isinstance(value, int | float):
        return Const(np.full(1, value, np.float32))
    raise Unsupported("arithmetic with the batch size is not supported")


def constant(value: Any, what: str) -> Const | None:
    """A tensor that must be a constant, None if absent."""
    if value is None or isinstance(value, Const):
        return value
    raise Unsupported(f"its {what} must be constants, not computed from the input")
