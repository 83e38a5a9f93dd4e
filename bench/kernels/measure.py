"""Rates of a kernel family on a layer, beside the core's peak in the same moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.engines.pytorch import prepare
from bench.engines.session import Network
from bench.kernels.alone import FamilyAlone, NotOffered
from bench.kernels.peak import Peak
from bench.subjects.layers import BY_FAMILY, LayerShape
from converters.verify import relative_error
from sparsenet.errors import InputError, SparsenetError
from sparsenet.targets.cuda.families import CUDA_FAMILIES
from sparsenet.targets.registry import FAMILIES
from sparsenet.timing import THREAD, Samples, take_rounds, turns_of

TOLERANCE = 1e-4
#: A round keeps the least of so many turns: neighbours on the machine only ever add time.
TURNS = 3
DENSITIES = (0.5, 0.2, 0.1, 0.05)
#: Families that compute nothing, and why they are not timed.
NOT_TIMED = {
    **dict.fromkeys(("f32_nms_none_flat", "f32_nonzero_none_flat"), "takes as long as the data make it"),
    **dict.fromkeys(CUDA_FAMILIES, "runs on a GPU, where python -m bench.cuda times it"),
}


@dataclass(frozen=True)
class Case:
    """A family on a layer at a density of its weights (None without weights)."""

    family: str
    layer: LayerShape
    density: float | None


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


def limited_by_memory(family: str) -> bool:
    """Whether a family has less than one multiply-add for each float it reads."""
    return not family.startswith(("f32_conv_", "f32_depthwise_"))


def is_sparse(family: str) -> bool:
    """Whether a family takes sparse weights."""
    return "_csr_" in family or "_pattern_" in family


def cases(quick: bool, families: tuple[str, ...] = ()) -> list[Case]:
    """Everything to time; ``quick`` takes fewer layers and densities.

    Raises:
        SparsenetError: a family of the registry has no layers in ``BY_FAMILY``.
        InputError: no family has one of ``families`` in its name.
    """
    forgotten = sorted(FAMILIES.keys() - BY_FAMILY.keys() - NOT_TIMED.keys())
    if forgotten:
        raise SparsenetError(
            f"no layers to time {', '.join(forgotten)} on: add them to bench.subjects.layers.BY_FAMILY"
        )
    found = []
    for family, layers in BY_FAMILY.items():
        densities: tuple[float | None, ...] = (None,)
        if is_sparse(family):
            densities = (0.2, 0.1) if quick else DENSITIES
        elif layers[0].weight_shape and family not in ("f32_relayout_none_any", "f32_fill_none_any"):
            densities = (1.0,)
        chosen = layers[1::4] or layers[:1] if quick else layers
        found += [Case(family, layer, density) for layer in chosen for density in densities]
    found = [case for case in found if not families or any(word in case.family for word in families)]
    if not found:
        raise InputError(
            f"no kernel family has {' or '.join(families)} in its name; there are {', '.join(BY_FAMILY)}"
        )
    return found


def measure(
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
        _check(case, alone)
        alone.repeat(seconds)
        yield _rate(case, alone, peak, rounds)


def _check(case: Case, alone: FamilyAlone) -> None:
    network = Network(case.layer.graph(1 - (case.density or 1)))
    (expected,) = prepare(network, 1)(case.layer.example())
    error = relative_error(alone.output, expected)
    if not error <= TOLERANCE:
        raise SparsenetError(
            f"{alone.kernel.name} on '{case.layer.name}' is off by {error:.2g} of the largest value: it is not timed"
        )


def _rate(case: Case, alone: FamilyAlone, peak: Peak, rounds: int) -> Rate:
    memory = limited_by_memory(case.family)
    reference, amount = (peak.read, peak.read_bytes) if memory else (peak.fma, peak.flops)
    work = alone.work.nbytes if memory else alone.work.flops
    turns = turns_of({"peak": reference, "family": alone.run}, THREAD)
    taken = take_rounds(turns, TURNS * rounds, THREAD, settle=0.0)
    peaks, times = (_least(seconds, rounds) for seconds in taken.seconds("peak", "family"))
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


def _least(seconds: Samples, rounds: int) -> Samples:
    """The least of every few neighbours."""
    return np.array([part.min() for part in np.array_split(seconds, rounds) if part.size])
