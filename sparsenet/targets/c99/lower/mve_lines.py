"""Kernels that go through lines of bytes, for MVE where the machine has it."""

from __future__ import annotations

import numpy as np

from sparsenet.graph.types import I32
from sparsenet.plan.lowering.geometry import Geometry
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.mve import LANES
from sparsenet.targets.c99.value import Value


def lines_kernel(builder: Builder, op: str, width: int, *tile: int) -> Kernel:
    """The kernel of ``op`` for lines of ``width`` pixels; ``tile``: parameters that it has on every machine."""
    if builder.options.machine.mve:
        return Kernel(f"u8x4_{op}vectors_none_rows", (*tile, int(width % LANES > 0)))
    return Kernel(f"u8x4_{op}_none_rows", tile)


def max_pool_in_vectors(
    builder: Builder, geometry: Geometry, x: Value, out: Value
) -> tuple[Kernel, Value] | None:
    """The kernel and its scratch memory, a line with zeros around; None where lines are shorter than a vector, or a
    window has no row of the map.
    """
    (k_h, k_w), (dilation_y, dilation_x) = geometry.kernel, geometry.dilation
    first = np.arange(out.height) * geometry.stride[0] - geometry.before[0]
    rows = np.add.outer(first, np.arange(k_h) * dilation_y)
    inside = ((rows >= 0) & (rows < x.height)).any(axis=1).all()
    if not (builder.options.machine.mve and inside and x.width >= LANES):
        return None
    across = -(-out.width // LANES) * LANES
    length = max((across - 1) * geometry.stride[1] + (k_w - 1) * dilation_x + 1, geometry.before[1] + x.width)
    tile = (geometry.stride[1], k_w, dilation_x, k_h)
    scratch = Value(f"{out.tensor} (a line)", (1, 1, length), I32, flat=True)
    return lines_kernel(builder, "maxpool", out.width, *tile), scratch
