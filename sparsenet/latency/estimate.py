"""From the speed of kernels on known layers to the time of an unknown one.

Samples are layers timed alone, over densities, and layers timed within whole networks. For each kernel family the
logarithm of the speed is fitted by a straight line in what a kernel meets (channels, width, density, caches); what the
line misses at similar samples is added, but nothing is faster than the fastest sample. Families without weights have
one speed each. Families of one algorithm and size of numbers count as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sparsenet.latency.kinds import itemsize
from sparsenet.latency.work import LayerWork
from sparsenet.targets.registry import FAMILIES

#: An output costs what so many multiply-adds cost, whatever it is made of: writing a vector to the second-level cache.
OUTPUT_COST = 8.0
#: Sizes beyond which layers slow down: the first-level cache, and well within the second.
L1_BYTES, L2_BYTES = 48e3, 1e6
LANES = 16
#: Sparser than this, speeds go no further down than to here.
LEAST_DENSITY = 0.01
#: A sample from a network counts as much as so many from a layer alone.
IN_NETWORK = 3.0
#: Neighbours that say what the line misses; how near is near; what holds slopes of few samples back.
NEIGHBOURS, NEARNESS, RIDGE = 4, 0.3, 1.0

Vector = npt.NDArray[np.float64]
#: Algorithm, and bytes of a number that it reads.
Kind = tuple[str, int]


@dataclass(frozen=True)
class Sample:
    """A layer and its time.

    Attributes:
        work: what the layer does, and by which family.
        ms: it took.
        in_network: whether within a network; otherwise alone, again and again.
    """

    work: LayerWork
    ms: float
    in_network: bool


@dataclass(frozen=True)
class Estimate:
    """Milliseconds of one layer, and the family that would do it."""

    layer: str
    family: str
    ms: float


@dataclass
class Estimator:
    """Samples of one machine."""

    samples: Sequence[Sample]
    _lines: dict[Kind, _Line] = field(init=False, repr=False)
    _bandwidths: dict[Kind, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_kind: dict[Kind, list[Sample]] = {}
        for sample in self.samples:
            by_kind.setdefault(_kind(sample.work), []).append(sample)
        self._lines, self._bandwidths = {}, {}
        for kind, samples in by_kind.items():
            if samples[0].work.flops:
                self._lines[kind] = _Line(samples)
            else:
                self._bandwidths[kind] = _bandwidth(samples)

    def estimate(self, work: LayerWork) -> Estimate:
        """Time of one layer for one image on one thread.

        Families that were never timed count as free; all that have weights are.
        """
        ms, kind = 0.0, _kind(work)
        if kind in self._lines:
            ms = _amount(work) / self._lines[kind].speed(work)
        elif kind in self._bandwidths:
            ms = work.nbytes / self._bandwidths[kind]
        return Estimate(work.layer, work.family, ms)


def _kind(work: LayerWork) -> Kind:
    return FAMILIES[work.family].module, itemsize(work.family)


def _bandwidth(samples: list[Sample]) -> float:
    """Bytes per millisecond: within networks, if it was met there."""
    met = [sample for sample in samples if sample.in_network]
    if met:
        return sum(sample.work.nbytes for sample in met) / sum(sample.ms for sample in met)
    return float(np.median([sample.work.nbytes / sample.ms for sample in samples]))


def _amount(work: LayerWork) -> float:
    """Operations, those that outputs cost and those on lanes beyond the line's end included."""
    outputs = float(work.c_out * work.pixels)
    width = work.width
    # Narrow maps are folded: the whole map is one line, but for a column of zeros behind each row.
    filled = width / (np.ceil(width / LANES) * LANES) if width >= 2 * LANES else width / (width + 1)
    return float((work.flops + 2 * OUTPUT_COST * outputs) / (filled if work.pixels > 1 else 1.0))


def _features(work: LayerWork, in_network: bool) -> Vector:
    """What a kernel's speed depends on, beside a constant."""
    density = max(work.density, LEAST_DENSITY)
    taps = work.c_in * work.kernel**2
    lines = float(itemsize(work.family)) * work.c_in * work.kernel * work.width * work.stride
    return np.array(
        [
            1.0,
            np.log2(work.c_in),
            np.log2(work.c_out),
            np.log2(work.width),
            np.log2(density),
            min(np.log2(taps * density), 6.0),
            max(np.log2(lines / L1_BYTES), 0.0),
            np.clip(np.log2(max(work.working_set, 1.0) / L2_BYTES), -1.0, 3.0),
            float(work.kernel > 1),
            float(work.stride > 1),
            float(work.residual),
            float(in_network),
        ]
    )


class _Line:
    """The logarithm of one family's speed: a line, and what it misses near samples."""

    def __init__(self, samples: list[Sample]) -> None:
        features = np.array([_features(sample.work, sample.in_network) for sample in samples])
        target = np.log([_amount(sample.work) / sample.ms for sample in samples])
        self.most = target.max()
        self.weights = np.array([IN_NETWORK if sample.in_network else 1.0 for sample in samples])
        self.in_network = any(sample.in_network for sample in samples)
        self.mean = (self.weights[:, None] * features).sum(0) / self.weights.sum()
        self.scale = features.std(0) + 1e-9
        self.points = self._normal(features)
        held = RIDGE * np.diag([0.0] + [1.0] * (features.shape[1] - 1))
        gram = self.points.T @ (self.weights[:, None] * self.points) + held
        self.slopes = np.linalg.solve(gram, self.points.T @ (self.weights * target))
        self.missed = target - self.points @ self.slopes

    def speed(self, work: LayerWork) -> float:
        """Operations per millisecond."""
        point = self._normal(_features(work, self.in_network))
        importance = np.abs(self.slopes) + 0.05
        importance[0] = 0.0
        away = np.sqrt((((self.points - point) * importance) ** 2).sum(1)) / importance.mean()
        near = np.argsort(away)[:NEIGHBOURS]
        trust = self.weights[near] / (away[near] ** 2 + NEARNESS)
        correction = (trust * self.missed[near]).sum() / (trust.sum() + 1 / (NEARNESS + 2))
        return float(np.exp(min(point @ self.slopes + correction, self.most)))

    def _normal(self, features: Vector) -> Vector:
        normal: Vector = (features - self.mean) / self.scale
        normal[..., 0] = 1.0
        return normal
