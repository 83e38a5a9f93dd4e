"""Choosing among the ways to run a convolution on a GPU: by a model of the machine, or by measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparsenet.plan.lowering.weights import zeros_in_words
from sparsenet.targets.cuda.builder import Options
from sparsenet.targets.cuda.separable_tiles import Depthwise, depthwise_clocks, ranked_fused
from sparsenet.targets.cuda.tiles import ConvTile, ranked

#: Output rows per thread that are tried: rows share columns well only where there are many nonzeros.
SPARSE_ROWS, DENSE_ROWS = (1, 2, 4), (1, 4, 8)
#: How many candidates are measured: of each format, and of each format of a pair of convolutions in one kernel.
SPARSE_CANDIDATES, DENSE_CANDIDATES, FUSED_CANDIDATES = 5, 3, 2


@dataclass(frozen=True)
class Candidate:
    """A format ("csr" or "dense"), a tile, and the clocks that the model expects.

    Attributes:
        fused: whether the depthwise convolution before it is part of the kernel; if there is one that could be,
            ``clocks`` is for both in either case.
    """

    format: str
    tile: ConvTile
    clocks: float
    fused: bool = False


def trials(sparse: bool) -> int:
    """How many candidates a layer has at most."""
    formats = 2 if sparse else 1
    return DENSE_CANDIDATES + SPARSE_CANDIDATES * sparse + FUSED_CANDIDATES * formats


def conv_candidates(
    size: tuple[int, int, int],
    density: float,
    in_place: bool,
    options: Options,
    depthwise: Depthwise | None = None,
) -> list[Candidate]:
    """The cheapest candidates by the model, dense ones first, fused ones last.

    Args:
        size: positions of an output channel, output channels, taps.
        in_place: whether pixels may be read four at a time.
        depthwise: the convolution before it that could be fused.
    """
    taps, processors = size[2], options.processors
    # A sparse group of rows has every column that any of its rows uses.
    columns = {"dense": {rows: float(taps) for rows in DENSE_ROWS}}
    if options.sparse:
        columns["csr"] = {rows: taps * (1 - (1 - density) ** rows) for rows in SPARSE_ROWS}
    most = {"dense": DENSE_CANDIDATES, "csr": SPARSE_CANDIDATES}
    before = 0.0 if depthwise is None else depthwise_clocks(size[0], depthwise, processors)
    found = [
        Candidate(kind, tile, clocks + before)
        for kind, used in columns.items()
        for clocks, tile in ranked(*size, used, in_place, processors)[: most[kind]]
    ]
    if depthwise is not None:
        found += [
            Candidate(kind, tile, clocks, fused=True)
            for kind, used in columns.items()
            for clocks, tile in ranked_fused(size[0], size[1], depthwise, used, processors)[:FUSED_CANDIDATES]
        ]
    return found


def choose(
    options: Options, layer: str, candidates: Sequence[Candidate], density: float, before: str = ""
) -> tuple[Candidate, str]:
    """The candidate to run, and the reason in words.

    Args:
        before: name of the depthwise convolution that some candidates compute too.
    """
    costs = [candidate.clocks for candidate in candidates]
    measured = options.measured.get(layer)
    if measured is not None:
        apart = min(options.measured[before], default=0.0) if before else 0.0
        # A layer with fewer candidates than others had its last one measured again and again.
        costs = [
            seconds + (0.0 if candidate.fused else apart)
            for seconds, candidate in zip(measured, candidates, strict=False)
        ]
    number = costs.index(min(costs)) if options.trial is None else min(options.trial, len(candidates) - 1)
    how = "expected" if measured is None else "measured"
    kinds = [candidate.format for candidate in candidates]
    reasons = ["only dense kernels were asked for"]
    if options.sparse:
        ratio = _least(costs, kinds, "dense") / _least(costs, kinds, "csr")
        reasons = [f"{zeros_in_words(density)}, {how}: sparse {ratio:.2f}x as fast as dense"]
    joined = [candidate.fused for candidate in candidates]
    if any(joined):
        ratio = _least(costs, joined, False) / _least(costs, joined, True)
        reasons.append(f"with '{before}' in one kernel {ratio:.2f}x as fast as apart")
    return candidates[number], "; ".join(reasons)


def _least(costs: Sequence[float], kinds: Sequence[object], kind: object) -> float:
    return min(cost for cost, of in zip(costs, kinds, strict=True) if of == kind)
