"""The verdict on whether a converted tensor agrees with the source's.

A difference passes up to ``tolerance`` times the largest number of the source's tensor, and beside that up to an
absolute floor for what rounding leaves where numbers cancel (see ``rounding``). Sixteen-bit floats round coarsely, and
are held to what they can hold.

Where that does not explain a difference, or the oracle, which computes in float64 and needs no tolerance for itself,
is further off than a tenth of it, the source is computed once more in float64, as umpire. A tensor that agrees with the
umpire is right: it is the source that is off, by its own rounding. One that passed is wrong after all if the umpire
sides with the source, whose rounding was then no excuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Literal

import numpy as np

from converters.conversion.rounding import magnitudes
from sparsenet.graph import Graph

Verdict = Literal["same", "source is off", "wrong"]
SAME: Verdict = "same"
SOURCE_OFF: Verdict = "source is off"
WRONG: Verdict = "wrong"

#: The floor over magnitude and tolerance: at 1e-4 it is 50 roundings, since long sums round many times.
FLOOR = 1 / 32
#: Share of the tolerance the oracle may take before the umpire is asked; the rest is for the engine's float32.
ORACLE_SHARE = 0.1
#: Roundings of a sixteen-bit tensor's largest number, and of its magnitude, that pass.
COARSE, COARSE_FLOOR = 16, 8


class Evidence:
    """Evidence that is expensive to compute: computed once, and only where something looks wrong."""

    def __init__(
        self,
        graph: Graph,
        exact: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray] | None],
        feeds: Mapping[str, np.ndarray],
    ) -> None:
        self._graph, self._exact, self._feeds = graph, exact, feeds

    @cached_property
    def magnitudes(self) -> dict[str, float]:
        """Magnitude of each tensor, see ``rounding.magnitudes``."""
        return magnitudes(self._graph, self._feeds)

    @cached_property
    def umpire(self) -> dict[str, np.ndarray]:
        """The source's tensors in float64; empty if it cannot compute them so."""
        return self._exact(self._feeds) or {}


class Comparison:
    """One tensor of the source, to compare others with.

    Attributes:
        expected: the source's value, of the channels in ``kept``.
        channels: how many the source has.
        size: its largest finite magnitude.
        step: None; those compared ``in_steps`` have one.
    """

    step: float | None = None

    def __init__(
        self, name: str, expected: np.ndarray, kept: np.ndarray | None, tolerance: float, padded: bool
    ) -> None:
        self.name, self.padded, self.tolerance, self._kept = name, padded, tolerance, kept
        self.channels = expected.shape[1] if expected.ndim > 1 else 1
        self.expected = self._cut(expected)
        unit = _unit(expected.dtype)
        self._share = max(tolerance, COARSE * unit)
        self._floor = max(tolerance * FLOOR, COARSE_FLOOR * unit)
        finite = np.abs(self.expected, dtype=np.float64)
        self.size = float(finite.max(initial=0.0, where=np.isfinite(finite)))

    def difference(self, got: np.ndarray) -> float:
        """The largest difference; infinite if there are more or fewer numbers, NaN if one of them is."""
        return largest_difference(got, self.expected, self.padded)

    def judge(
        self, got: np.ndarray, oracle: np.ndarray, rounds: bool, evidence: Evidence
    ) -> tuple[Verdict, float]:
        """The verdict on a tensor, and the difference that passes.

        Args:
            got: the tensor, of the oracle or of the engine.
            oracle: the oracle's.
            rounds: whether ``got`` was computed in float32.
            evidence: of the whole network.
        """
        allowed = self._share * self.size
        difference = self.difference(got)
        if difference <= allowed * (1 if rounds else ORACLE_SHARE):
            return SAME, allowed
        magnitude = evidence.magnitudes[self.name]
        floor = self._floor * magnitude
        allowed += floor
        if difference <= (allowed if rounds else allowed * ORACLE_SHARE + floor):
            return SAME, allowed
        exact = evidence.umpire.get(self.name)
        if exact is None or np.isnan(got).any():
            return (SAME if difference <= allowed else WRONG), allowed
        exact = self._cut(exact)
        from_exact = largest_difference(got, exact, self.padded)
        fine = self.tolerance * (self.size + FLOOR * magnitude)
        if from_exact <= fine * (1 if rounds else ORACLE_SHARE):
            return (SAME if difference <= allowed else SOURCE_OFF), allowed
        convicted = not rounds and 4 * self.difference(exact) <= difference
        return (SAME if difference <= allowed and not convicted else WRONG), allowed

    def _cut(self, array: np.ndarray) -> np.ndarray:
        return array if self._kept is None or array.ndim < 2 else array[:, self._kept]


def largest_difference(got: np.ndarray, expected: np.ndarray, padded: bool = False) -> float:
    """Largest |got - expected|: equal infinities differ by 0, arrays of different shapes infinitely.

    NaN in the same place is alike, but where there is nothing else: that compares nothing. ``padded``: even there, for
    NaN stands for no number.
    """
    if got.shape != expected.shape:
        return np.inf
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(got.astype(np.float64) - expected)
    alike = got == expected
    if padded or not np.isnan(expected).all():
        alike |= np.isnan(got) & np.isnan(expected)
    return float(np.where(alike, 0.0, difference).max(initial=0.0))


def _unit(dtype: np.dtype) -> float:
    """Relative rounding of a sixteen-bit float; 0 for types that round no more than float32."""
    return float(np.finfo(np.float16).eps) / 2 if dtype == np.float16 else 0.0
