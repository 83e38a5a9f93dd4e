"""What follows the sums of a product in integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsenet.graph.integer import Product
from sparsenet.graph.ops import split_inputs
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.targets.cpu.lower.epilogues import Epilogue
from sparsenet.targets.cpu.lower.fixed_point import multipliers, range_of_sums
from sparsenet.targets.family import Clip

#: The largest numbers of 8 bits, and of 16 with a sign.
U8_MOST, WORD_MOST = 255, 2**15 - 1


def bounds(product: Product, channels: int) -> dict[str, npt.NDArray[np.uint8]]:
    """The least and the largest byte of each of the channels, by the names of the kernels' arguments."""
    rounding = product.rounding
    both = (np.broadcast_to(bound, channels) for bound in (rounding.low, rounding.high))
    return dict(zip(("low", "high"), both, strict=True))


def clip_of(product: Product) -> Clip:
    """What the numbers of a product may need to become bytes."""
    weights, rounding = product.weights, product.rounding
    clip = Clip.ZERO if rounding.zero_point else Clip(0)
    low, high = bounds(product, len(weights)).values()
    if len(weights) % QUAD or low.any() or (high != U8_MOST).any():
        clip |= Clip.BOUNDS
    sums = U8_MOST * np.abs(weights.reshape(len(weights), -1), dtype=np.int64).sum(axis=1)
    numbers = (sums + np.abs(product.bias, dtype=np.int64)) * np.abs(product.multiplier, dtype=np.float64)
    if product.other is not None or product.line.bend is not None or numbers.max() > WORD_MOST - U8_MOST:
        clip |= Clip.WORDS
    return clip


def fixed_point(product: Product) -> npt.NDArray[np.int32]:
    """The fixed-point multiplier of each channel; 0 for that by its scale in float32."""
    count = len(product.weights)
    if product.other is not None or product.line.bend is not None:
        return np.zeros(count, np.int32)
    ends = range_of_sums(product.weights, product.bias, product.x.zero_point)
    zero = product.rounding.zero_point
    limits = (bound.astype(np.int64) - zero for bound in bounds(product, count).values())
    return multipliers(np.broadcast_to(product.multiplier, count), *ends, *limits)


def fused(builder: Builder, product: Product, *, over_rows: bool) -> Epilogue:
    """The tensor that a product adds, if there is one, as rows or plain, and a bend; what clips is in its rounding."""
    epilogue = Epilogue()
    if product.other is not None:
        tensor = split_inputs(product.node)[1][0]
        epilogue.ops = ("add",)
        epilogue.numbers = {
            "residual_scale.0": float(product.other_multiplier),
            "residual_zero.0": product.other.zero_point,
        }
        epilogue.residuals = {0: builder.rows(tensor) if over_rows else builder.plain(tensor)}
    return bent(epilogue, product.line.bend)


def bent(epilogue: Epilogue, bend: float | None) -> Epilogue:
    """``epilogue`` with a ``leaky_relu`` behind it, if there is a bend."""
    if bend is not None:
        epilogue.numbers[f"slope.{len(epilogue.ops)}"] = bend
        epilogue.ops += ("leaky_relu",)
    return epilogue
