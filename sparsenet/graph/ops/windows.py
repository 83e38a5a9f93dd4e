"""Ops that slide a window over images (N, C, H, W): convolution and pooling."""

from __future__ import annotations

from sparsenet.graph.ops.attribute import flag, integer, integers
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.graph.ops.sizes import Attrs, Shapes, image, wholes
from sparsenet.graph.types import Shape


def conv_output_size(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """Rows (or columns) a sliding window yields: floor((size + pads - extent) / stride) + 1."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def _window(shape: tuple[int, int], kernel: list[int], attrs: Attrs) -> tuple[int, int]:
    stride = wholes(attrs["stride"], 2, "stride", 1)
    top, left, bottom, right = wholes(attrs["padding"], 4, "padding", 0)
    dilation = wholes(attrs.get("dilation", [1, 1]), 2, "dilation", 1)
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


def check_bias(bias: Shape | None, c_out: int) -> None:
    """Raise ValueError unless ``bias``, if there is one, has a number for each output."""
    if bias is not None and bias != (c_out,):
        raise ValueError(f"bias must be ({c_out},), got {bias}")


def _conv2d(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: weight (C_out, C_in / groups, K_h, K_w) and bias (C_out,) over an image."""
    channels, height, width = image(shapes[0])
    weight = shapes[1]
    if weight is None or len(weight) != 4:
        raise ValueError(f"weight must be (C_out, C_in/groups, K_h, K_w), got {weight}")
    c_out, c_in, k_h, k_w = (int(d or 0) for d in weight)
    groups = attrs["groups"]
    if not isinstance(groups, int) or groups < 1 or channels != c_in * groups or c_out % groups:
        raise ValueError(f"weight {weight} with groups={groups} does not fit {channels} input channels")
    check_bias(shapes[2], c_out)
    return (shapes[0][0], c_out, *_window((height, width), [k_h, k_w], attrs))  # type: ignore[index]


def _pool(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: windows over an image, with less padding than window."""
    channels, height, width = image(shapes[0])
    kernel = wholes(attrs["kernel"], 2, "kernel", 1)
    top, left, bottom, right = wholes(attrs["padding"], 4, "padding", 0)
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise ValueError(f"padding {attrs['padding']} must be smaller than the kernel {kernel}")
    return (shapes[0][0], channels, *_window((height, width), kernel, attrs))  # type: ignore[index]


def _global_pool(shapes: Shapes, _attrs: Attrs) -> Shape:
    """Shape rule: (N, C, H, W) → (N, C, 1, 1)."""
    channels, _, _ = image(shapes[0])
    return (shapes[0][0], channels, 1, 1)  # type: ignore[index]


_PADDING = integers([0, 0, 0, 0])
_DILATION = integers([1, 1])
_POOL = {"kernel": integers(), "stride": integers(), "padding": _PADDING, "ceil_mode": flag(False)}

OPS: dict[str, OpSchema] = {
    "conv2d": OpSchema(
        ("x", "weight", "bias?"),
        _conv2d,
        {"stride": integers([1, 1]), "padding": _PADDING, "dilation": _DILATION, "groups": integer(1)},
        constants=("weight", "bias"),
        epilogue=True,
        integer="product",
        windowed=True,
        weighted=True,
    ),
    # Padding counts as -inf.
    "max_pool2d": OpSchema(
        ("x",),
        _pool,
        {**_POOL, "dilation": _DILATION},
        per_channel=True,
        sign_keeping=True,
        windowed=True,
        integer="choice",
    ),
    "avg_pool2d": OpSchema(
        ("x",),
        _pool,
        {**_POOL, "count_include_pad": flag(True)},
        per_channel=True,
        windowed=True,
        integer="mean",
    ),
    "global_avg_pool2d": OpSchema(("x",), _global_pool, per_channel=True, integer="mean"),
}
