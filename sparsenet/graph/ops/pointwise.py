"""Ops of single numbers: activations, scaling by channel, arithmetic, comparisons."""

from __future__ import annotations

from sparsenet.graph.ops import parts
from sparsenet.graph.ops.activations import ACTIVATIONS, Activation
from sparsenet.graph.ops.attribute import number
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.graph.ops.sizes import Attrs, Shapes, broadcast, same
from sparsenet.graph.types import Shape


def _per_channel(shapes: Shapes, _attrs: Attrs) -> Shape:
    """Shape rule: (N, C) or (N, C, H, W), and tensors (C,)."""
    x = shapes[0]
    if x is None or len(x) not in (2, 4):
        raise ValueError(f"x must be (N, C) or (N, C, H, W), got {x}")
    for shape in shapes[1:]:
        if shape != (x[1],):
            raise ValueError(f"per-channel tensors must be ({x[1]},), got {shape}")
    return x


def activation(entry: Activation) -> OpSchema:
    """An activation as an op of its own."""
    return OpSchema(
        ("x",),
        same,
        {name: number() for name in entry.parameters},
        parts.same,
        elementwise=True,
        per_channel=True,
        per_pixel=True,
        integer="table",
    )


def _arithmetic(*, epilogue: bool = False, zero_absorbing: bool = False, integer: str = "") -> OpSchema:
    return OpSchema(
        ("a", "b"),
        broadcast,
        partial=parts.broadcast,
        epilogue=epilogue,
        elementwise=True,
        arithmetic=True,
        zero_absorbing=zero_absorbing,
        integer=integer,
    )


def _elementwise(*inputs: str) -> OpSchema:
    return OpSchema(inputs, broadcast, partial=parts.broadcast, elementwise=True)


#: Operands broadcast as NumPy does, and either side may be a constant.
_ARITHMETIC: dict[str, OpSchema] = {
    "add": _arithmetic(epilogue=True, integer="sum"),
    "sub": _arithmetic(epilogue=True),
    "mul": _arithmetic(epilogue=True, zero_absorbing=True, integer="factors"),
    "div": _arithmetic(),
    "pow": _elementwise("a", "b"),  # 1 to the power of NaN is 1
    "maximum": _arithmetic(),
    "minimum": _arithmetic(),
    # 1 where it holds, 0 where not.
    "greater": _elementwise("a", "b"),
    "less": _elementwise("a", "b"),
    "equal": _elementwise("a", "b"),
    "where": _elementwise("condition", "a", "b"),  # a where condition is not 0, else b
}

OPS: dict[str, OpSchema] = {
    # y = (x - mean) / sqrt(var + eps) * scale + bias, per channel (dimension 1); passes replace it by `affine`.
    "batch_norm": OpSchema(
        ("x", "scale", "bias", "mean", "var"),
        _per_channel,
        {"eps": number(1e-5)},
        parts.same,
        constants=("scale", "bias", "mean", "var"),
        per_channel=True,
        per_pixel=True,
    ),
    # y = x * scale + shift, per channel.
    "affine": OpSchema(
        ("x", "scale", "shift"),
        _per_channel,
        partial=parts.same,
        constants=("scale", "shift"),
        epilogue=True,
        per_channel=True,
        per_pixel=True,
    ),
    **_ARITHMETIC,
    **{op: activation(entry) for op, entry in ACTIVATIONS.items()},
}
