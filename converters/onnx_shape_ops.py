"""ONNX operations that move, join, cut or rename data, under their ONNX names."""

from __future__ import annotations

import numpy as np

from converters import lowering
from converters.builder import Act, Const, Site, Unsupported, Value
from converters.onnx_call import Call
from converters.onnx_fold import Sizes, shape_value
from sparsenet.graph import Shape


def concat(c: Call) -> Act:
    """Along any axis but the batch; negative ones count from the back."""
    return lowering.concat(c.b, c.site, [c.operand(i) for i in range(len(c.inputs))], c.attrs["axis"])


def flatten(c: Call) -> Act:
    """(N, ...) → (N, F); an axis further back only where it leaves the batch alone."""
    axis, shape = c.attrs.get("axis", 1), c.shape
    axis += len(shape) if axis < 0 else 0
    if axis < 1 or any(d != 1 for d in shape[1:axis]):
        raise Unsupported(lowering.BATCH_HINT)
    return lowering.reshape(c.b, c.site, c.x, [_size(shape)])


def _size(shape: Shape) -> int:
    return int(np.prod([d for d in shape[1:] if d is not None], dtype=np.int64))


def reshape(c: Call) -> Act:
    """Target from a constant or a shape computation: 0 copies, -1 is inferred, the batch may be either."""
    target = c.get(1)
    if isinstance(target, Const):
        wanted: list[int | None] = [int(v) for v in target.array.ravel()]
    elif isinstance(target, Sizes):
        wanted = target.dims()
    else:
        raise Unsupported("its shape is computed from the input's values")
    shape = c.shape
    if not c.attrs.get("allowzero", 0):
        wanted = [shape[i] if d == 0 and i < len(shape) else d for i, d in enumerate(wanted)]
    first, rest = (wanted[0], wanted[1:]) if wanted else (None, [])
    if not rest or any(d is None or d == 0 for d in rest):
        raise Unsupported(lowering.BATCH_HINT)
    sizes = [int(d or 0) for d in rest]
    total, known = _size(shape), int(np.prod([d for d in sizes if d > 0], dtype=np.int64))
    if first is None or (first == c.static_batch and first is not None):
        sizes = [total // known if d == -1 else d for d in sizes]
    elif first != -1 or -1 in sizes:
        raise Unsupported(f"its shape {wanted} fixes the batch; export the model with a free batch dimension")
    if int(np.prod(sizes, dtype=np.int64)) != total:
        raise Unsupported(f"shape {wanted} of a tensor {shape} would change the batch")
    return lowering.reshape(c.b, c.site, c.x, sizes)


def squeeze(c: Call) -> Act:
    """Axes from an attribute (before opset 13) or an input."""
    axes, shape = c.numbers(1, "axes", 13, "axes"), c.shape
    if axes is None:
        dropped = {i for i, d in enumerate(shape) if d == 1}
    else:
        dropped = {lowering.axis_of(a, len(shape)) for a in axes}
    if any(shape[i] != 1 for i in dropped):
        raise Unsupported(f"only dimensions of size 1 can be squeezed, got {shape}")
    return lowering.reshape(
        c.b, c.site, c.x, [int(d or 0) for i, d in enumerate(shape) if i and i not in dropped]
    )


def unsqueeze(c: Call) -> Act:
    """Axes from an attribute (before opset 13) or an input."""
    axes, shape = c.numbers(1, "axes", 13, "axes") or [], c.shape
    rank = len(shape) + len(axes)
    added = {lowering.axis_of(a, rank) for a in axes}
    old = iter(shape)
    sizes = [1 if i in added else next(old) for i in range(rank)]
    return lowering.reshape(c.b, c.site, c.x, [int(d or 0) for d in sizes[1:]])


def transpose(c: Call) -> Act:
    """The batch must stay in front."""
    return lowering.transpose(c.b, c.site, c.x, c.attrs.get("perm", list(reversed(range(len(c.shape))))))


def pad(c: Call) -> Act:
    """Constant padding of H and W; amounts from an attribute (before opset 11) or an input."""
    if c.attrs.get("mode", "constant") != "constant":
        raise Unsupported(f"mode '{c.attrs['mode']}' is not supported; use constant padding")
    amounts, rank = c.numbers(1, "pads", 11, "pads") or [], len(c.shape)
    value = c.const(2, "value") if c.opset >= 11 else Const(np.array(c.attrs.get("value", 0.0), np.float32))
    axes = c.const(3, "axes")
    touched = list(range(rank)) if axes is None else [int(a) % rank for a in axes.array.ravel()]
    if len(amounts) != 2 * len(touched):
        raise Unsupported(f"{len(amounts)} pads do not fit {len(touched)} dimensions")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(touched):
        before[axis], after[axis] = amounts[i], amounts[i + len(touched)]
    return lowering.pad(c.b, c.site, c.x, before, after, 0.0 if value is None else float(value.array.item()))


def shape(c: Call) -> Value | Sizes:
    """Known but for the batch."""
    return shape_value(c.shape, c.attrs.get("start", 0), c.attrs.get("end"))


def split(c: Call) -> list[Act]:
    """Groups of channels; sizes from an attribute (before opset 13), an input, or equal."""
    axis = lowering.axis_of(c.attrs.get("axis", 0), len(c.shape))
    total, count = int(c.shape[axis] or 0), len(c.outputs)
    sizes = c.numbers(1, "split", 13, "split")
    if sizes is None:
        part = -(-total // count)
        sizes = [min(part, total - part * i) for i in range(count)]
    parts, start = [], 0
    for i, (size, tensor) in enumerate(zip(sizes, c.outputs, strict=True)):
        site = Site(f"{c.site.name}.{i}", tensor)
        parts.append(lowering.select(c.b, site, c.x, axis, start, start + size))
        start += size
    return parts


def slice_channels(c: Call) -> Act:
    """A range of channels."""
    if c.opset < 10:
        starts, ends, axes, steps = c.attrs["starts"], c.attrs["ends"], c.attrs.get("axes"), None
    else:
        starts, ends, axes, steps = (c.numbers(i, "", 10, "bounds") for i in (1, 2, 3, 4))
    if not starts or not ends or len(starts) != 1 or (steps and steps != [1]):
        raise Unsupported("only slices of one dimension without a step are supported")
    return lowering.select(c.b, c.site, c.x, (axes or [0])[0], starts[0], ends[0])
