"""Shape rules of the ops over images (N, C, H, W), of linear layers and of numbers per channel.

As in ``ops``: ``(input shapes, attributes with defaults) -> output shape``; a ``ValueError`` says what does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sparsenet.graph.ops.shape_rules import Attrs, Shapes
from sparsenet.graph.types import Shape

#: What stands beside the image: one number, the image mirrored at its border pixels, those pixels repeated, the image
#: repeated.
PAD_MODES = ("constant", "reflect", "edge", "wrap")


def conv_output_size(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """Rows (or columns) a sliding window yields: floor((size + pads - extent) / stride) + 1."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def _ints(value: Any, count: int, name: str, minimum: int) -> list[int]:
    if (
        not isinstance(value, Sequence)
        or len(value) != count
        or any(not isinstance(v, int) or v < minimum for v in value)
    ):
        raise ValueError(f"{name} must be {count} integers >= {minimum}, got {value!r}")
    return list(value)


def _image(shape: Shape | None, role: str = "x") -> tuple[int, int, int]:
    if shape is None or len(shape) != 4:
        raise ValueError(f"{role} must be (N, C, H, W), got {shape}")
    return shape[1], shape[2], shape[3]  # type: ignore[return-value]


def _window(shape: tuple[int, int], kernel: list[int], attrs: Attrs) -> tuple[int, int]:
    stride = _ints(attrs["stride"], 2, "stride", 1)
    top, left, bottom, right = _ints(attrs["padding"], 4, "padding", 0)
    dilation = _ints(attrs.get("dilation", [1, 1]), 2, "dilation", 1)
    sizes = []
    for i, (before, after) in enumerate(((top, bottom), (left, right))):
        out = conv_output_size(shape[i], kernel[i], stride[i], before, after, dilation[i])
        if attrs.get("ceil_mode", False):
            span = shape[i] + before + after - dilation[i] * (kernel[i] - 1) - 1
            out = -(-span // stride[i]) + 1
            # A window that would start in the padding behind the data is dropped, as in PyTorch and ONNX.
            if (out - 1) * stride[i] >= shape[i] + before:
                out -= 1
        if out < 1:
            raise ValueError(
                f"kernel {kernel} does not fit into {shape} with padding {[top, left, bottom, right]}"
            )
        sizes.append(out)
    return sizes[0], sizes[1]


def conv2d(shapes: Shapes, attrs: Attrs) -> Shape:
    """Weight (C_out, C_in / groups, K_h, K_w) and bias (C_out,) over an image."""
    channels, height, width = _image(shapes[0])
    weight = shapes[1]
    if weight is None or len(weight) != 4:
        raise ValueError(f"weight must be (C_out, C_in/groups, K_h, K_w), got {weight}")
    c_out, c_in, k_h, k_w = (int(d or 0) for d in weight)
    groups = attrs["groups"]
    if not isinstance(groups, int) or groups < 1 or channels != c_in * groups or c_out % groups:
        raise ValueError(f"weight {weight} with groups={groups} does not fit {channels} input channels")
    _check_bias(shapes[2], c_out)
    return (shapes[0][0], c_out, *_window((height, width), [k_h, k_w], attrs))  # type: ignore[index]


def linear(shapes: Shapes, _attrs: Attrs) -> Shape:
    """Weight (F_out, F_in) and bias (F_out,) over (N, F_in)."""
    x, weight = shapes[0], shapes[1]
    if x is None or len(x) != 2 or weight is None or len(weight) != 2 or x[1] != weight[1]:
        raise ValueError(f"expected x (N, F_in) and weight (F_out, F_in), got {x} and {weight}")
    _check_bias(shapes[2], int(weight[0] or 0))
    return (x[0], weight[0])


def _check_bias(bias: Shape | None, c_out: int) -> None:
    if bias is not None and bias != (c_out,):
        raise ValueError(f"bias must be ({c_out},), got {bias}")


def pool(shapes: Shapes, attrs: Attrs) -> Shape:
    """Windows over an image, less padding than window."""
    channels, height, width = _image(shapes[0])
    kernel = _ints(attrs["kernel"], 2, "kernel", 1)
    top, left, bottom, right = _ints(attrs["padding"], 4, "padding", 0)
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise ValueError(f"padding {attrs['padding']} must be smaller than the kernel {kernel}")
    return (shapes[0][0], channels, *_window((height, width), kernel, attrs))  # type: ignore[index]


def global_pool(shapes: Shapes, _attrs: Attrs) -> Shape:
    """(N, C, H, W) → (N, C, 1, 1)."""
    channels, _, _ = _image(shapes[0])
    return (shapes[0][0], channels, 1, 1)  # type: ignore[index]


def per_channel(shapes: Shapes, _attrs: Attrs) -> Shape:
    """(N, C) or (N, C, H, W), and tensors (C,)."""
    x = shapes[0]
    if x is None or len(x) not in (2, 4):
        raise ValueError(f"x must be (N, C) or (N, C, H, W), got {x}")
    for shape in shapes[1:]:
        if shape != (x[1],):
            raise ValueError(f"per-channel tensors must be ({x[1]},), got {shape}")
    return x


def pad(shapes: Shapes, attrs: Attrs) -> Shape:
    """Rows and columns beside an image."""
    channels, height, width = _image(shapes[0])
    top, left, bottom, right = _ints(attrs["padding"], 4, "padding", 0)
    if attrs["mode"] not in PAD_MODES:
        raise ValueError(f"mode must be one of {', '.join(PAD_MODES)}, got {attrs['mode']!r}")
    if attrs["mode"] == "reflect" and (max(top, bottom) >= height or max(left, right) >= width):
        raise ValueError(f"padding {attrs['padding']} must be smaller than the image ({height}, {width})")
    return (shapes[0][0], channels, height + top + bottom, width + left + right)  # type: ignore[index]


def resize(shapes: Shapes, attrs: Attrs) -> Shape:
    """An image brought to a size, by a scale, or to the size of another image."""
    channels, *image = _image(shapes[0])
    size, scale = list(attrs["size"]), list(attrs["scale"])
    if bool(size) + bool(scale) + (shapes[1] is not None) != 1:
        raise ValueError("it needs one of size, scale and a tensor whose size it takes")
    if scale:
        if len(scale) != 2 or any(not 0 < factor < math.inf for factor in scale):
            raise ValueError(f"scale must be 2 positive numbers, got {scale}")
        size = [math.floor(have * factor + 1e-6) for have, factor in zip(image, scale, strict=True)]
    elif shapes[1] is not None:
        size = list(_image(shapes[1], "like")[1:])
    size = _ints(size, 2, "size", 1)
    if attrs["mode"] not in ("nearest", "bilinear"):
        raise ValueError(f"mode must be 'nearest' or 'bilinear', got {attrs['mode']!r}")
    return (shapes[0][0], channels, *size)  # type: ignore[index]
