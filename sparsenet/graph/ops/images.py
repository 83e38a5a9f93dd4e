"""Ops on images (N, C, H, W) as pictures: padding, resizing, channels to pixels and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparsenet.graph.ops.attribute import flag, integers, number, two_numbers, word
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.graph.ops.sizes import LARGEST_INDEX, Attrs, Shapes, image, whole, wholes
from sparsenet.graph.types import Shape

#: What the padding holds: one number, the image mirrored at its border pixels, those pixels repeated, the image
#: repeated.
PAD_MODES = ("constant", "reflect", "edge", "wrap")
RESIZE_MODES = ("nearest", "bilinear")


def _pad(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: an image with rows and columns around it."""
    channels, height, width = image(shapes[0])
    top, left, bottom, right = wholes(attrs["padding"], 4, "padding", 0)
    if attrs["mode"] not in PAD_MODES:
        raise ValueError(f"mode must be one of {', '.join(PAD_MODES)}, got {attrs['mode']!r}")
    if attrs["mode"] == "reflect" and (max(top, bottom) >= height or max(left, right) >= width):
        raise ValueError(f"padding {attrs['padding']} must be smaller than the image ({height}, {width})")
    return (shapes[0][0], channels, height + top + bottom, width + left + right)  # type: ignore[index]


def _resize(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: an image resized to a size, by a scale, or to the size of another image."""
    channels, *have = image(shapes[0])
    size, scale = list(attrs["size"]), list(attrs["scale"])
    if bool(size) + bool(scale) + (shapes[1] is not None) != 1:
        raise ValueError("it needs one of size, scale and a tensor whose size it takes")
    if scale:
        if len(scale) != 2 or any(not 0 < factor < math.inf for factor in scale):
            raise ValueError(f"scale must be 2 positive numbers, got {scale}")
        size = [math.floor(side * factor + 1e-6) for side, factor in zip(have, scale, strict=True)]
    elif shapes[1] is not None:
        size = list(image(shapes[1], "like")[1:])
    size = wholes(size, 2, "size", 1)
    if attrs["mode"] not in RESIZE_MODES:
        raise ValueError(f"mode must be 'nearest' or 'bilinear', got {attrs['mode']!r}")
    return (shapes[0][0], channels, *size)  # type: ignore[index]


def _block(attrs: Attrs) -> tuple[int, int]:
    block = attrs["block"]
    if not isinstance(block, Sequence) or len(block) != 2:
        raise ValueError(f"block must be 2 sizes, rows and columns, got {block!r}")
    if not isinstance(attrs["depth_first"], bool):
        raise ValueError(f"depth_first must be true or false, got {attrs['depth_first']!r}")
    rows, columns = (whole(size, "a size of block", 1, LARGEST_INDEX) for size in block)
    return rows, columns


def _depth_to_space(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: (N, C · r · s, H, W) to (N, C, H · r, W · s)."""
    (channels, height, width), (r, s) = image(shapes[0]), _block(attrs)
    if channels % (r * s):
        raise ValueError(f"{channels} channels cannot be arranged in blocks of {r} x {s}")
    return (shapes[0][0], channels // (r * s), height * r, width * s)  # type: ignore[index]


def _space_to_depth(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: (N, C, H · r, W · s) to (N, C · r · s, H, W)."""
    (channels, height, width), (r, s) = image(shapes[0]), _block(attrs)
    if height % r or width % s:
        raise ValueError(f"an image of {height} x {width} cannot be cut into blocks of {r} x {s}")
    return (shapes[0][0], channels * r * s, height // r, width // s)  # type: ignore[index]


#: Channels to pixels, in blocks of (rows, columns), and back. Channel (c, i, j) is pixel (i, j) of each block of
#: channel c; `depth_first`, channel (i, j, c) is.
_BLOCKS = {"block": integers(), "depth_first": flag(False)}

OPS: dict[str, OpSchema] = {
    # Padding of H and W; `value` counts for mode "constant".
    "pad": OpSchema(
        ("x",),
        _pad,
        {"padding": integers(), "value": number(0.0), "mode": word(*PAD_MODES, default="constant")},
        per_channel=True,
        integer="choice",
    ),
    # To a size, by a scale, or to the size of another image. Coordinates "half_pixel" and "align_corners" as PyTorch's
    # align_corners=False and True; nearest floors.
    "resize": OpSchema(
        ("x", "like?"),
        _resize,
        {
            "size": integers([]),
            "scale": two_numbers([]),
            "mode": word(*RESIZE_MODES, default="nearest"),
            "coordinates": word("half_pixel", "align_corners", default="half_pixel"),
        },
        sizes_only=("like",),
        per_channel=True,
        integer="choice",
    ),
    "depth_to_space": OpSchema(("x",), _depth_to_space, _BLOCKS, sign_keeping=True, integer="choice"),
    "space_to_depth": OpSchema(("x",), _space_to_depth, _BLOCKS, sign_keeping=True, integer="choice"),
}
