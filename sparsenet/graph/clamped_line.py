"""A line between two levels, perhaps bent at 0: all that may stand between sums of integers and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph.node import Node
from sparsenet.graph.ops import split_inputs
from sparsenet.graph.ops.epilogues import FUSED_OP_TENSORS
from sparsenet.graph.types import FloatArray

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClampedLine:
    """y = min(max(z, low), high), where z = slope * x + shift, times ``bend`` if it is below 0 and there is one.

    Numbers of the line are float64, of shape () or (C,), one for each channel.
    """

    slope: Float64
    shift: Float64
    low: Float64
    high: Float64
    bend: float | None = None

    @classmethod
    def straight(cls) -> ClampedLine:
        """y = x."""
        slope, shift, low, high = (np.asarray(number, np.float64) for number in (1.0, 0.0, -np.inf, np.inf))
        return cls(slope, shift, low, high)

    @classmethod
    def of(cls, node: Node, constants: Mapping[str, FloatArray]) -> ClampedLine | None:
        """What the epilogue of a node does behind the tensor that it may add first; None if it is more than a line."""
        line, tensors = cls.straight(), iter(split_inputs(node)[1])
        for number, step in enumerate(node.epilogue):
            read = [next(tensors) for _ in FUSED_OP_TENSORS.get(step[0], ())]
            if step[0] == "add" and number == 0:
                continue
            if step[0] == "affine" and line.bend is None:
                line = line.scaled(*(constants[name].astype(np.float64) for name in read))
            elif (bounds := bounds_of(step)) is not None:
                line = line.clipped(*bounds)
            elif (bend := bend_of(step)) is not None:
                line = line.bent(bend)
            else:
                return None
        return line

    @property
    def is_even(self) -> bool:
        """Whether it neither scales nor shifts, the same for all channels."""
        return not (self.slope.ndim or self.shift.ndim) and float(self.slope) == 1 and float(self.shift) == 0

    def clipped(self, least: float, most: float) -> ClampedLine:
        """With min(max(y, least), most) behind it."""
        low, high = (np.minimum(np.maximum(level, least), most) for level in (self.low, self.high))
        return replace(self, low=low, high=high)

    def bent(self, bend: float) -> ClampedLine:
        """With a bend behind it: the levels are bent, too."""
        with np.errstate(invalid="ignore"):  # infinity times 0
            low, high = (
                np.nan_to_num(
                    np.where(level < 0, bend * level, level), nan=0.0, posinf=np.inf, neginf=-np.inf
                )
                for level in (self.low, self.high)
            )
        return replace(self, low=low, high=high, bend=bend * (1.0 if self.bend is None else self.bend))

    def scaled(self, scale: Float64, shift: Float64) -> ClampedLine:
        """With y * scale + shift behind it, arrays (C,)."""
        with np.errstate(invalid="ignore"):  # infinity times 0, where all is the shift
            ends = [np.where(scale == 0, shift, level * scale + shift) for level in (self.low, self.high)]
        return ClampedLine(
            self.slope * scale, self.shift * scale + shift, np.minimum(*ends), np.maximum(*ends)
        )


def bounds_of(step: Sequence[Any]) -> tuple[float, float] | None:
    """The least and the largest number that a fused op lets pass, if it changes no number between; else None."""
    word, *numbers = step
    if word == "relu":
        return 0.0, np.inf
    return (float(numbers[0]), float(numbers[1])) if word == "clip" else None


def bend_of(step: Sequence[Any]) -> float | None:
    """By what a fused op multiplies numbers below 0, if it does no more and makes none larger; else None."""
    return float(step[1]) if step[0] == "leaky_relu" and 0 <= step[1] <= 1 else None
