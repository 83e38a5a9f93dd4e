"""ONNX constants that are as large as a size that is only known when the network runs."""

from __future__ import annotations

import numpy as np

from converters.builder import Act, Const, Unsupported
from converters.decompose.choice import head
from converters.decompose.elementwise import materialize
from converters.decompose.shapes import BATCH_HINT
from converters.decompose.tensors import expand
from converters.onnx.call import Call, Rule
from converters.symbolic.sizes import THE_BATCH, Sizes, Unknown


def constant_of_shape(c: Call) -> Act:
    """A tensor of one number everywhere."""
    value = np.asarray(c.attrs.get("value", 0.0), np.float32).reshape(-1)
    return _filled(c, value, _entries(c.get(0)))


def expand_constant(c: Call) -> Act:
    """A constant repeated for every image of a batch, or everything that is found."""
    value = c.const(0, "data")
    assert value is not None
    return _filled(c, value.array, _entries(c.get(1)))


def tile_constant(c: Call) -> Act:
    """A constant repeated so many times along every axis; of one element where that number is not known."""
    value, repeats = c.const(0, "data"), _entries(c.get(1))
    assert value is not None
    if len(repeats) != value.array.ndim:
        raise Unsupported(f"{len(repeats)} repeats do not fit {value.array.ndim} dimensions")
    counts = [1 if isinstance(r, Unknown) else r for r in repeats]
    shape = [n * count for n, count in zip(value.array.shape, counts, strict=True)]
    c.b.require_memory(shape, "what it repeats")
    sizes = [r if isinstance(r, Unknown) else n for r, n in zip(repeats, shape, strict=True)]
    return _filled(c, np.tile(value.array, counts), sizes)


def numbers_up_to(c: Call) -> Act:
    """The numbers 0, 1, ... up to how many are found."""
    start, step = (c.const(i, what) for i, what in ((0, "start"), (2, "step")))
    limit = _entries(c.get(1))[0]
    if start is None or step is None or (start.array.item(), step.array.item()) != (0, 1):
        raise Unsupported(
            "numbers up to a size that depends on the data are supported from 0 on, in steps of 1"
        )
    if not c.lead or not isinstance(limit, Unknown):
        raise Unsupported(BATCH_HINT)
    room = Const(np.arange(int(limit.most), dtype=np.float32))
    return head(c.b, c.site, materialize(c.b, c.at("all"), room, 2), 1, limit)


def _entries(shape: object) -> list[int | Unknown]:
    if not isinstance(shape, Sizes):
        raise Unsupported("its shape is computed from the input's values")
    return shape.entries()


def _filled(c: Call, value: np.ndarray, sizes: list[int | Unknown]) -> Act:
    """``value``, broadcast to a shape one of whose sizes is the batch, or a count."""
    unknown = [i for i, size in enumerate(sizes) if isinstance(size, Unknown)]
    if len(unknown) != 1 or (not c.lead and (unknown[0], sizes[0]) != (0, THE_BATCH)):
        raise Unsupported(BATCH_HINT if not c.lead else "more than one of its sizes depends on the data")
    room = [int(size.most) if isinstance(size, Unknown) else size for size in sizes[1 - c.lead :]]
    if any(size < 1 for size in room):
        raise Unsupported("tensors without elements are not supported")
    array = value.reshape([1] * (len(sizes) - value.ndim) + list(value.shape))
    if not c.lead:
        if array.ndim != len(sizes) or array.shape[0] != 1:
            raise Unsupported("the constant has a batch dimension of its own")
        array = array[0]
    if array.ndim != len(room) or array.shape[unknown[0] :][: c.lead] not in ((), (1,)):
        raise Unsupported("the constant has a size of its own where it depends on the data")
    x = materialize(c.b, c.at("constant"), Const(array), len(room) + 1)
    x = expand(c.b, c.at("filled") if c.lead else c.site, x, room)
    size = sizes[unknown[0]]
    assert isinstance(size, Unknown)
    return head(c.b, c.site, x, unknown[0] + 1, size) if c.lead else x


#: Operators that are evaluated where their sizes are known.
RULES: dict[str, Rule] = {
    "ConstantOfShape": constant_of_shape,
    "Expand": expand_constant,
    "Tile": tile_constant,
    "Range": numbers_up_to,
}
