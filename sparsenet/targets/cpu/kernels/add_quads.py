"""Sum of two maps in quads of bytes, each with a scale and a zero point of its own."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import F32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined
from sparsenet.targets.cpu.pointwise import build_pointwise
from sparsenet.targets.cpu.requantize import fused, packed
from sparsenet.targets.cpu.vector_ir import Tile, steps_of
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A byte is rint(float32(x - x_zero) * x_scale + float32(y - y_zero) * y_scale) + zero within [low, high]."""
    read, lanes, vectors = arguments(kernel), kernel.lanes, kernel.parameter("vectors")
    pixels, values = Tile(kernel.element, lanes, 1, vectors), Tile(F32, lanes, 1, vectors, QUAD)
    load, steps, pack = pixels.load, steps_of(pixels), packed(pixels, kernel.parameter("dot"))
    plus, times, each, epilogue = values.add, values.mul, values.splat, fused(kernel, values)

    def begin(args, bases):  # type: ignore[no-untyped-def]
        return read(args, bases)

    def one_tile(given, x, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        other = load(given.y + y * given.y_row + channel * given.y_channel + x_bytes, 0)
        first = times(steps(x, given.x_zero), each(given.x_scale))
        second = times(steps(other, given.y_zero), each(given.y_scale))
        total = epilogue(plus(first, second), args, bases, channel, y, x_bytes)
        return pack(total, given.zero, given.low, given.high)

    return build_pointwise(kernel, inlined(begin, exact=True), inlined(one_tile, exact=True))
