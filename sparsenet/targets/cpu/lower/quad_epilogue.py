"""What follows the sums of a product in integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsenet.graph.integer import Product
from sparsenet.graph.ops import split_inputs
from sparsenet.plan.builder import Builder
from sparsenet.targets.cpu.lower.epilogues import Epilogue


def bounds(product: Product, channels: int) -> dict[str, npt.NDArray[np.uint8]]:
    """The least and the largest byte of each of the channels, by the names of the kernels' arguments."""
    rounding = product.rounding
    both = (np.broadcast_to(bound, channels) for bound in (rounding.low, rounding.high))
    return dict(zip(("low", "high"), both, strict=True))


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
