"""Ops that move values but compute nothing: identity, dropout, flatten, reshape, transpose, concat, slice,
gather, expand, depth to space and back.
"""

from __future__ import annotations

import numpy as np

from sparsenet.reference.operation import Array, Attrs, Operation


def identity(inputs: list[Array], _attrs: Attrs) -> Array:
    """Return x. Also stands for dropout, which does nothing at inference."""
    return inputs[0]


def flatten(inputs: list[Array], _attrs: Attrs) -> Array:
    """(N, ...) → (N, F) in C order."""
    return inputs[0].reshape(inputs[0].shape[0], int(np.prod(inputs[0].shape[1:])))


def reshape(inputs: list[Array], attrs: Attrs) -> Array:
    """(N, ...) → (N, *shape) in C order; one size may be -1."""
    shape = list(attrs["shape"])
    if -1 in shape:
        size = int(np.prod(inputs[0].shape[1:]))
        shape[shape.index(-1)] = size // -int(np.prod(shape))
    return inputs[0].reshape(inputs[0].shape[0], *shape)


def transpose(inputs: list[Array], attrs: Attrs) -> Array:
    """Axis i of the result is axis ``perm[i]`` of x."""
    return inputs[0].transpose(attrs["perm"])


def depth_to_space(inputs: list[Array], attrs: Attrs) -> Array:
    """(N, C · r · s, H, W) → (N, C, H · r, W · s); channels are (c, i, j), or (i, j, c) if ``depth_first``."""
    (images, channels, height, width), (r, s) = inputs[0].shape, attrs["block"]
    depth = channels // (r * s)
    if attrs["depth_first"]:
        blocks = inputs[0].reshape(images, r, s, depth, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = inputs[0].reshape(images, depth, r, s, height, width).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(images, depth, height * r, width * s)


def space_to_depth(inputs: list[Array], attrs: Attrs) -> Array:
    """The inverse of ``depth_to_space``: (N, C, H · r, W · s) → (N, C · r · s, H, W)."""
    (images, depth, height, width), (r, s) = inputs[0].shape, attrs["block"]
    blocks = inputs[0].reshape(images, depth, height // r, r, width // s, s)
    order = (0, 3, 5, 1, 2, 4) if attrs["depth_first"] else (0, 1, 3, 5, 2, 4)
    return blocks.transpose(order).reshape(images, depth * r * s, height // r, width // s)


def concat(inputs: list[Array], attrs: Attrs) -> Array:
    """All inputs, one after the other, along ``attrs["axis"]``."""
    return np.concatenate(inputs, axis=attrs["axis"])


def slice_axis(inputs: list[Array], attrs: Attrs) -> Array:
    """Elements start, start + step, … of one axis, ``count`` of them."""
    indices = attrs["start"] + attrs["step"] * np.arange(attrs["count"])
    return np.asarray(np.take(inputs[0], indices, axis=attrs["axis"]))


def gather(inputs: list[Array], attrs: Attrs) -> Array:
    """The elements of one axis that ``indices`` names."""
    return np.asarray(np.take(inputs[0], np.asarray(attrs["indices"]), axis=attrs["axis"]))


def expand(inputs: list[Array], attrs: Attrs) -> Array:
    """Axes of size 1 repeated until the tensor is (N, *shape)."""
    return np.broadcast_to(inputs[0], (inputs[0].shape[0], *attrs["shape"]))


OPERATIONS: dict[str, Operation] = {
    "concat": concat,
    "flatten": flatten,
    "reshape": reshape,
    "transpose": transpose,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "slice": slice_axis,
    "gather": gather,
    "expand": expand,
    "identity": identity,
    "dropout": identity,
}
