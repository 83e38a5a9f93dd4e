"""Sizes that are only known when the network runs: the batch, and how many elements of an axis are valid.

What an exporter computes from shapes is, number by number, a constant plus multiples of such sizes. Kept in that form
it is exact whatever the sizes turn out to be; what has no such form is not guessed at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from converters.builder import Const, Unsupported
from sparsenet.graph import Shape

#: Stands for the batch size among the names of counts; no tensor has an empty name.
BATCH = ""

#: Sizes that one array may depend on. No network needs more; a crafted one must not make each step slow.
LARGEST_VARIETY = 32


@dataclass(frozen=True)
class Unknown:
    """The smallest of some sizes, and of a number.

    ``counts``: names of tensors that say how much of an axis is valid (see ``graph.Partial``), or ``BATCH``.
    """

    counts: frozenset[str]
    most: float = math.inf

    @property
    def least(self) -> int:
        """The least value: a batch has at least one entry, other counts may be 0."""
        return 1 if self.counts == {BATCH} else 0


THE_BATCH = Unknown(frozenset({BATCH}))


@dataclass(frozen=True, eq=False)
class Sizes:
    """An array of numbers: ``base`` + the sum of ``slopes[unknown]`` · unknown. Slopes have the shape of ``base``."""

    base: np.ndarray
    slopes: Mapping[Unknown, np.ndarray]

    @property
    def array(self) -> np.ndarray:
        """Raise Unsupported, as the numbers have no single value."""
        raise Unsupported("a number it needs depends on the batch size, or on the data")

    @property
    def depends(self) -> np.ndarray:
        """Mask of the numbers that are no constants."""
        moving = np.zeros(self.base.shape, bool)
        for slope in self.slopes.values():
            moving |= slope != 0
        return moving

    def entries(self) -> list[int | Unknown]:
        """The numbers one by one.

        Raises:
            Unsupported: one is neither a constant nor one size by itself.
        """
        moving = self.depends.ravel()
        found: list[int | Unknown] = [
            0 if m else int(v) for v, m in zip(self.base.ravel(), moving, strict=True)
        ]
        for place in np.flatnonzero(moving):
            terms = {u: s.ravel()[place] for u, s in self.slopes.items() if s.ravel()[place]}
            if self.base.ravel()[place] or list(terms.values()) != [1]:
                raise Unsupported(
                    "a size it needs mixes the batch, or a size that depends on the data, with others"
                )
            found[place] = next(iter(terms))
        return found

    def dims(self) -> list[int | None]:
        """The numbers as sizes; None for the batch, or for the valid length of an axis."""
        entries = self.entries()
        if any(isinstance(e, Unknown) and BATCH in e.counts and e != THE_BATCH for e in entries):
            raise Unsupported("a size it needs is the batch size up to a limit")
        return [None if isinstance(e, Unknown) else e for e in entries]

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest that each number can be, float64."""
        low, high = self.base.astype(np.float64), self.base.astype(np.float64)
        for unknown, slope in self.slopes.items():
            with np.errstate(invalid="ignore"):  # 0 · infinity, where the other is taken
                at_least, at_most = slope * float(unknown.least), slope * float(unknown.most)
            low = low + np.where(slope >= 0, at_least, at_most)
            high = high + np.where(slope > 0, at_most, at_least)
        return low, high


def as_sizes(value: Const | Sizes) -> Sizes:
    """Constants in the form of sizes."""
    return value if isinstance(value, Sizes) else Sizes(value.array, {})


def settled(base: np.ndarray, slopes: Mapping[Unknown, np.ndarray]) -> Const | Sizes:
    """The sizes as a constant if nothing depends on one, else as they are; Unsupported if they are too many."""
    kept = {unknown: slope for unknown, slope in slopes.items() if slope.any()}
    if len(kept) > LARGEST_VARIETY:
        raise Unsupported(f"it depends on {len(kept)} sizes that are only known when the network runs")
    return Sizes(base, kept) if kept else Const(base)


def sizes_of_shape(shape: Shape, unknown: Unknown) -> Const | Sizes:
    """A shape as an int64 array; ``unknown`` is the size that is None."""
    base = np.array([d or 0 for d in shape], np.int64)
    return settled(base, {unknown: np.array([d is None for d in shape], np.int64)})
