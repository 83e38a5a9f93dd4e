"""Product of two maps in quads of bytes, or of a map and one byte per channel (squeeze-and-excitation)."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.types import F32, QUAD
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined
from sparsenet.targets.cpu.pointwise import build_pointwise
from sparsenet.targets.cpu.requantize import fused, packed
from sparsenet.targets.cpu.vector_ir import Tile, load_i32, steps_of
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """A byte is rint(float32((x - x_zero) * (y - y_zero)) * scale) + zero within [low, high].

    float32 holds the integer product exactly, so it is made of the two factors as float32. If ``per_channel`` is not 0,
    ``y`` is bytes in the order of the channels.
    """
    read, lanes, vectors = arguments(kernel), kernel.lanes, kernel.parameter("vectors")
    pixels, values = Tile(kernel.element, lanes, 1, vectors), Tile(F32, lanes, 1, vectors, QUAD)
    steps, pack = steps_of(pixels), packed(pixels, kernel.parameter("dot"))
    times, each, epilogue = values.mul, values.splat, fused(kernel, values)
    factors = _gain(pixels, steps) if kernel.parameter("per_channel") else _pixels(pixels, steps)

    def begin(args, bases):  # type: ignore[no-untyped-def]
        return read(args, bases)

    def one_tile(given, x, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        product = times(steps(x, given.x_zero), factors(given, channel, y, x_bytes))
        scaled = epilogue(times(product, each(given.scale)), args, bases, channel, y, x_bytes)
        return pack(scaled, given.zero, given.low, given.high)

    return build_pointwise(kernel, inlined(begin, exact=True), inlined(one_tile, exact=True))


def _pixels(pixels: Tile, steps: Any) -> Any:
    load = pixels.load

    def factors(given, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        return steps(load(given.y + y * given.y_row + channel * given.y_channel + x_bytes, 0), given.y_zero)

    return inlined(factors, exact=True)


def _gain(pixels: Tile, steps: Any) -> Any:
    splat = pixels.splat

    def factors(given, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        return steps(splat(load_i32(given.y, channel)), given.y_zero)

    return inlined(factors, exact=True)
