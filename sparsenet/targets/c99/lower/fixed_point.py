"""Bytes of sums by one integer product each, to the bit as a float32 product gives them, for most channels.

``byte = clamp(((sum + moved) * factor >> 32) + added >> FRACTION, 0, 255)`` is a line cut into steps, and so, but for
what float32 rounds, is ``clamp(rint(float32(sum) * multiplier) + zero, 0, 255)``: both are told by the least sum of
every byte. A line that has them all, of the sums that there can be, is one between points and the points one sum before
(a digital line: Rosenfeld, IEEE Trans. Computers C-23, 1974); it is searched for here, so that equality is proven when
code is made. Where rounding to float32 has bent the line, about one channel in a hundred, there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph.integer import MOST_SUM
from sparsenet.targets.c99.kernels.bytes import FRACTION

#: ``added`` of a channel that no line has; its ``factor`` is the bits of its float32 multiplier.
NO_LINE = -(2**31)
#: What may be added, so that no result passes 32 bits.
_MOST_ADDED = 2**30
#: How far from the multiplier a line's slope is searched, and how many numbers to add are tried,
#: at a time and in all.
_NEAR, _TRIED, _MOST_TRIED = 1e-5, 256, 4096
_FAR = 2**62
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """What makes bytes of the sums of each channel.

    Attributes:
        factor, added: int32 (C,).
        moved: int64 (C,), what a sum begins with beside its bias.
    """

    factor: npt.NDArray[np.int32]
    added: npt.NDArray[np.int32]
    moved: Integers

    @property
    def lines(self) -> int:
        """How many channels have a line."""
        return int(np.count_nonzero(self.added != NO_LINE))


def fixed_point(multiplier: npt.NDArray[Any], zero: int, least: Integers, most: Integers) -> FixedPoint:
    """Lines for sums from ``least`` to ``most`` of each channel, with float32 ``multiplier`` (C,)."""
    first, known = _first_sums(multiplier, zero)
    point = np.arange(1, 256, dtype=np.int64) << (32 + FRACTION)
    reached, left = first <= most[:, None], first > least[:, None]
    begin, before = np.maximum(first, least[:, None]), np.minimum(first - 1, most[:, None])

    def room(slope: Integers) -> tuple[Integers, Integers]:
        """The least height at 0 that a line of this slope may have, and the height that it must be below."""
        low = np.where(reached, point - begin * slope[:, None], -_FAR).max(axis=1)
        high = np.where(left, point - before * slope[:, None], _FAR).min(axis=1)
        return low, high

    slope = _steepness(multiplier, room)
    low, high = room(slope)
    added, moved, found = _height(slope, low, high)
    found &= known & (np.abs(moved) + np.maximum(np.abs(least), np.abs(most)) <= MOST_SUM)
    bits = np.ascontiguousarray(multiplier, np.float32).view(np.int32)
    terms = np.where(found, (slope, added, moved), (bits, np.full_like(slope, NO_LINE), np.zeros_like(slope)))
    # Channels without weights have one sum, whatever their multiplier: a line that is level.
    number = np.rint(least.astype(np.float32) * multiplier.astype(np.float32))
    byte = np.clip(number + zero, 0, 255).astype(np.int64)
    terms = np.where(least == most, (np.zeros_like(slope), byte << FRACTION, -least), terms)
    return FixedPoint(terms[0].astype(np.int32), terms[1].astype(np.int32), terms[2])


def _first_sums(multiplier: npt.NDArray[Any], zero: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """The least sum of each byte from 1 on, int64 (C, 255), and of which channels all are known."""
    factor, byte = multiplier.astype(np.float32)[:, None], np.arange(1, 256)
    usable = factor > 0
    about = np.floor((byte - zero - 0.5) / np.where(usable, factor, 1).astype(np.float64))
    usable &= np.abs(about).max(axis=1, keepdims=True) < MOST_SUM - 8
    about = np.where(usable, about, 0).astype(np.int64)
    first, known = about, np.zeros(about.shape, bool)
    for near in range(4, -4, -1):
        number = np.rint((about + near).astype(np.float32) * factor)
        first = np.where(number + zero >= byte, about + near, first)
        known |= number + zero < byte
    return first, (known & (np.rint(first.astype(np.float32) * factor) + zero >= byte) & usable).all(axis=1)


def _steepness(
    multiplier: npt.NDArray[Any], room: Callable[[Integers], tuple[Integers, Integers]]
) -> Integers:
    """Of each channel the slope that leaves the most room: the room is concave, so thirds are left out in turn."""
    middle = np.rint(multiplier.astype(np.float64) * 2.0 ** (32 + FRACTION))
    middle = np.clip(middle, 1, 2**31 - 2).astype(np.int64)
    span = np.maximum(4, (middle * _NEAR).astype(np.int64))
    start, end = np.maximum(middle - span, 0), np.minimum(middle + span, 2**31 - 1)
    while (third := (end - start) // 3).max() > 0:
        left, right = start + third, end - third
        rising = np.subtract(*room(left)) > np.subtract(*room(right))
        start, end = np.where(rising, left, start), np.where(rising, end, right)
    spaces = np.stack([np.subtract(*reversed(room(np.minimum(start + step, end)))) for step in range(3)])
    return np.minimum(start + spaces.argmax(axis=0), end)


def _height(
    slope: Integers, low: Integers, high: Integers
) -> tuple[Integers, Integers, npt.NDArray[np.bool_]]:
    """Two steps that put the line at a height from ``low`` to below ``high``: 2^32 times one, ``slope`` the other."""
    added, moved, found = np.zeros_like(slope), np.zeros_like(slope), np.zeros(slope.shape, bool)
    for start in range(0, _MOST_TRIED, _TRIED):
        (open_,) = np.nonzero(~found & (low < high) & (slope > 0))
        tried = (low[open_] >> 32)[:, None] + np.arange(start, start + _TRIED)
        steps = -(((tried << 32) - low[open_, None]) // slope[open_, None])
        fits = ((tried << 32) + steps * slope[open_, None] < high[open_, None]) & (
            np.abs(tried) < _MOST_ADDED
        )
        chosen = fits.argmax(axis=1)[:, None]
        added[open_], moved[open_], found[open_] = (
            np.take_along_axis(array, chosen, axis=1)[:, 0] for array in (tried, steps, fits)
        )
    return added, moved, found
