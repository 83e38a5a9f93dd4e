"""Strides of tensors over the few axes that kernels iterate over."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.plan.lowering.axes import contiguous_strides, merge_axes
from sparsenet.targets.cuda.builder import Argument, NoKernelError, Value


def axis_strides(value: Value) -> list[int]:
    """Floats between neighbours along each axis of ``value``."""
    shape, plain = value.shape, contiguous_strides(value.shape)
    if value.layout is None:
        return plain
    maps = value.layout
    front = [maps.image, maps.pitch]
    return front + ([1] if len(shape) == 3 else [maps.line, *plain[3:]] if len(shape) > 3 else [])


def in_a_row(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the axes after the third are evenly spaced, as one."""
    return len(merge_axes(sizes[3:], strides[3:])[0]) == 1


def four_strides(sizes: Sequence[int], strides: Sequence[int]) -> tuple[int, int, int, int]:
    """Strides of image, channel, row and column for a tensor of these axes, those after the third as one column axis.

    Raises:
        NoKernelError: the axes after the third are not evenly spaced.
    """
    if len(sizes) < 4:
        image, channel, column = (*strides, 0, 0)[:3]
        return image, channel, 0, column
    if not in_a_row(sizes, strides):
        raise NoKernelError(f"it reorders {len(sizes)} axes")
    image, channel, row = strides[:3]
    return image, channel, row, merge_axes(sizes[3:], strides[3:])[1][0][0]


def map_strides(name: str, sizes: Sequence[int], strides: Sequence[int]) -> dict[str, Argument]:
    """The arguments that tell a kernel the strides of its operand ``name``, as ``four_strides``."""
    axes = ("image", "channel", "row", "column")
    return {f"{name}_{axis}": stride for axis, stride in zip(axes, four_strides(sizes, strides), strict=True)}


def three_axes(sizes: Sequence[int], *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Sizes and strides of the same iteration over three axes.

    Raises:
        NoKernelError: it takes more.
    """
    merged, steps = merge_axes(sizes, *strides)
    missing = 3 - len(merged)
    if missing < 0:
        raise NoKernelError(f"it goes through {len(sizes)} axes that do not lie in a row")
    return [1] * missing + merged, [[0] * missing + walk for walk in steps]
