"""Rates of a kernel family on a layer, beside the core's peak in the same moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.kernels.alone import FamilyAlone, NotOffered
from bench.kernels.cases import Case, limited_by_memory
from bench.kernels.peak import Peak
from bench.measure.agreement import KERNEL_TOLERANCE
from bench.measure.samples import least_of_neighbours
from sparsenet.errors import SparsenetError
from sparsenet.timing import THREAD, take_rounds, turns_of

#: A round keeps the least of so many turns: neighbours on the machine only ever add time.
TURNS = 3


@dataclass(frozen=True)
class Rate:
    """What came out, one thread, caches warm.

    Attributes:
        family, layer, density, lanes, kernel: what ran.
        nnz: nonzero weights.
        ms: of the layer's calls of the family, median.
        gflops: 1e9 operations per second, 2 per multiply-add with a nonzero weight; None without weights.
        gbytes: 1e9 bytes per second: pixels read and written once, and stored weights.
        share: of the peak, median over rounds of the ratio in the same round: multiply-adds in registers, or, for
            families without weights and for matrix-vector products, reading the second-level cache.
        peak: that peak, GFLOP/s or GB/s.
    """

    family: str
    layer: str
    density: float | None
    lanes: int
    kernel: str
    nnz: int
    ms: float
    gflops: float | None
    gbytes: float
    share: float
    peak: float

    @property
    def memory_bound(self) -> bool:
        """Whether ``share`` is of the bandwidth."""
        return limited_by_memory(self.family)


def rates(
    todo: list[Case],
    lanes: int,
    rounds: int,
    seconds: float,
    tune: bool,
    progress: Callable[[Case], object] = lambda _: None,
) -> Iterator[Rate]:
    """Check each case against PyTorch, then time it in turn with the peak loops.

    Args:
        rounds: samples of each case.
        seconds: how long one sample takes at least.

    Raises:
        SparsenetError: a kernel computes something else than PyTorch.
    """
    peak = Peak(lanes)
    for case in todo:
        progress(case)
        try:
            alone = FamilyAlone(case.family, case.layer, 1 - (case.density or 1), tune)
        except NotOffered:
            continue
        error = alone.error()
        if not error <= KERNEL_TOLERANCE:
            raise SparsenetError(
                f"{alone.kernel.name} on '{case.layer.name}' is off by {error:.2g} of the largest value: "
                "it is not timed"
            )
        alone.repeat(seconds)
        yield _rate(case, alone, peak, rounds)


def _rate(case: Case, alone: FamilyAlone, peak: Peak, rounds: int) -> Rate:
    memory = limited_by_memory(case.family)
    reference, amount = (peak.read, peak.read_bytes) if memory else (peak.fma, peak.flops)
    work = alone.work.nbytes if memory else alone.work.flops
    turns = turns_of({"peak": reference, "family": alone.run}, THREAD)
    taken = take_rounds(turns, TURNS * rounds, THREAD, settle=0.0)
    peaks, times = (least_of_neighbours(seconds, rounds) for seconds in taken.seconds("peak", "family"))
    peaks /= amount
    times /= alone.runs
    typical = float(np.median(times))
    return Rate(
        case.family,
        case.layer.name,
        case.density,
        peak.lanes,
        alone.kernel.name,
        alone.work.nnz,
        typical * 1e3,
        alone.work.flops / typical / 1e9 if alone.work.flops else None,
        alone.work.nbytes / typical / 1e9,
        float(np.median(work / times * peaks)),
        1e-9 / float(np.median(peaks)),
    )
