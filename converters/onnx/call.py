"""An ONNX node as rules see it: plain Python values, no onnx."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.choice import numbers
from converters.decompose.elementwise import binary
from converters.decompose.shapes import BATCH_HINT, reshape
from converters.decompose.tensors import join, slice_axis
from converters.symbolic.sizes import Sizes
from sparsenet.graph import Shape


@dataclass(frozen=True)
class Call:
    """One ONNX node: inputs (None where absent), attributes, opset, names of its outputs.

    ``static_batch`` is the batch size the model was exported with, None if it is free. ``lead`` is how many dimensions
    a graph tensor has in front of the ONNX tensor's: 0 where dimension 0 of both is the batch, 1 where the whole ONNX
    tensor is one sample. ``integer``: the first input holds integers, told to ``INTEGER_OPERATORS`` only;
    ``logical``: the mask of attention holds truth values.
    """

    b: GraphBuilder
    site: Site
    inputs: list[Value | Sizes | None]
    attrs: dict[str, Any]
    opset: int
    outputs: list[str]
    static_batch: int | None
    lead: int = 0
    integer: bool = False
    logical: bool = False

    @property
    def x(self) -> Act:
        """The activation the node works on."""
        return self.act(0)

    @property
    def shape(self) -> Shape:
        """Shape of ``x`` as ONNX sees it."""
        return self.shape_of(self.x)

    def shape_of(self, value: Value) -> Shape:
        """Shape of an operand as ONNX sees it."""
        return self.b.shapes[value.tensor][self.lead :] if isinstance(value, Act) else value.array.shape

    @property
    def sizes(self) -> list[int]:
        """Sizes of ``x`` behind the graph's batch."""
        return [int(d or 0) for d in self.b.shapes[self.x.tensor][1:]]

    def axis(self, axis: int) -> int:
        """An ONNX axis of ``x``, from either end, as the graph counts it; Unsupported if it is the batch."""
        rank = len(self.shape)
        front = axis + rank if axis < 0 else axis
        if not 0 <= front < rank:
            raise Unsupported(f"axis {axis} does not exist in a tensor of {rank} dimensions")
        if front + self.lead == 0:
            raise Unsupported(BATCH_HINT, "axis")
        return front + self.lead

    def get(self, index: int) -> Value | Sizes | None:
        """An input by position, None if absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def act(self, index: int) -> Act:
        """An input that must depend on the network's input."""
        value = self.get(index)
        if not isinstance(value, Act):
            raise Unsupported(f"input {index} must depend on the network's input")
        return value

    def const(self, index: int, what: str) -> Const | None:
        """An input that must be a constant, None if absent."""
        value = self.get(index)
        if value is None or isinstance(value, Const):
            return value
        raise Unsupported(f"its {what} must be a constant")

    def number(self, index: int, attribute: str, before: int, default: float) -> float:
        """A number given as an attribute before opset ``before``, as a constant input from then on."""
        if self.opset < before:
            return float(self.attrs.get(attribute, default))
        value = self.const(index, attribute)
        return default if value is None else float(value.array.item())

    def operand(self, index: int) -> Value:
        """An input of either kind, as arithmetic takes it."""
        value = self.get(index)
        if isinstance(value, Sizes):
            return numbers(self.b, self.at(f"size{index}"), value)
        if value is None:
            raise Unsupported(f"input {index} is missing")
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

    def unary_at(self, op: str, part: str, **attrs: Any) -> Act:
        """A helper node in front of the main one that reads only ``x``."""
        return self.b.node(op, self.at(part), [self.x.tensor], attrs)

    def binary(self, op: str, left: Value, right: Value, part: str = "") -> Act:
        """Arithmetic with broadcasting; ``part`` names a helper node in front of the main one."""
        return binary(self.b, self.at(part), op, left, right, self.lead)

    def at(self, part: str) -> Site:
        """The site of a helper node, or of the main one."""
        return self.site.sub(part) if part else self.site


#: A slice that ends here or later takes everything, whatever the batch; exporters write different large numbers.
THE_END = 10**9

Result = Value | Sizes | Sequence[Value]
Rule = Callable[[Call], Result]


def floats_only(c: Call) -> None:
    """Raise Unsupported if ``c`` takes the mean of integers, which ONNX rounds."""
    if c.integer:
        raise Unsupported("the mean of integers is not supported; cast them to floats first")


def per_image(rule: Callable[[Call], Act]) -> Callable[[Call], Act]:
    """Extend a rule that reads dimension 0 of its first input as the batch to calls where it is an ordinary dimension.

    Its entries are then taken apart, go through the rule one by one, and are joined again.
    """

    def wrapped(c: Call) -> Act:
        if not c.lead:
            return rule(c)
        count, *rest = c.sizes
        if any(isinstance(value, Act) for value in c.inputs[1:]):
            raise Unsupported("its parameters must be constants")
        results = []
        for i in range(count):
            part = f"{i}" if count > 1 else ""
            one = c.x if count == 1 else slice_axis(c.b, c.site.sub(f"image{part}"), c.x, 1, i, 1, 1)
            image = reshape(c.b, c.site.sub(f"in{part}"), one, rest)
            inner = replace(
                c, lead=0, static_batch=None, site=c.site.sub(f"one{part}"), inputs=[image, *c.inputs[1:]]
            )
            made = rule(inner)
            shape = [1, *(int(d or 0) for d in c.b.shapes[made.tensor][1:])]
            site = c.site if count == 1 else c.site.sub(f"out{part}")
            results.append(reshape(c.b, site, made, shape))
        return join(c.b, c.site, results, 1) if count > 1 else results[0]

    return wrapped


#: Attributes with one number per spatial dimension, what a dimension of size 1 needs there, and how often.
_SPATIAL = {
    "kernel_shape": (1, 1),
    "strides": (1, 1),
    "dilations": (1, 1),
    "pads": (0, 2),
    "output_padding": (0, 1),
    "output_shape": (1, 1),
}


def two_dimensional(rule: Callable[[Call], Act]) -> Callable[[Call], Act]:
    """Extend a rule for images (N, C, H, W) to (N, C, L): that is an image of one row."""

    def wrapped(c: Call) -> Act:
        rank = len(c.shape)
        if rank == 4:
            return rule(c)
        if rank != 3:
            raise Unsupported(
                f"only one and two spatial dimensions are supported, got a tensor of shape {c.shape}"
            )
        sizes = c.sizes
        image = reshape(c.b, c.site.sub("image"), c.x, [sizes[0], 1, sizes[1]])
        attrs = dict(c.attrs)
        for name, (filler, parts) in _SPATIAL.items():
            if name in attrs:
                values = list(attrs[name])
                half = len(values) // parts
                attrs[name] = [v for i in range(parts) for v in (filler, *values[i * half : (i + 1) * half])]
        inputs: list[Value | Sizes | None] = [image, *c.inputs[1:]]
        if len(inputs) > 1 and isinstance(inputs[1], Const) and inputs[1].array.ndim == 3:
            inputs[1] = Const(np.expand_dims(inputs[1].array, 2), inputs[1].name)
        made = rule(replace(c, inputs=inputs, attrs=attrs, site=c.site.sub("flat")))
        channels, _, length = (int(d or 0) for d in c.b.shapes[made.tensor][1:])
        return reshape(c.b, c.site, made, [channels, length])

    return wrapped
