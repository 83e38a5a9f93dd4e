"""Choosing among the ways to run a convolution on a GPU: by a model of the machine, or by measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparsenet.plan.cuda.builder import Options
from sparsenet.plan.cuda.tiles import ConvTile, ranked

#: Output rows per thread that are tried: rows share columns well only where there are many nonzeros.
SPARSE_ROWS, DENSE_ROWS = (1, 2, 4), (1, 4, 8)
#: How many candidates of each format are measured.
SPARSE_CANDIDATES, DENSE_CANDIDATES = 5, 3
CANDIDATES = SPARSE_CANDIDATES + DENSE_CANDIDATES


@dataclass(frozen=True)
class Candidate:
    """A format ("csr" or "dense"), a tile, and the clocks that the model expects."""

    format: str
    tile: ConvTile
    clocks: float


def conv_candidates(
    size: tuple[int, int, int], density: float, in_place: bool, options: Options
) -> list[Candidate]:
    """The cheapest candidates by the model, dense ones first.

    Args:
        size: positions of an output channel, output channels, taps.
        in_place: whether pixels may be read four at a time.
    """
    taps = size[2]
    everything = {rows: float(taps) for rows in DENSE_ROWS}
    dense = ranked(*size, everything, in_place, options.processors)[:DENSE_CANDIDATES]
    found = [Candidate("dense", tile, clocks) for clocks, tile in dense]
    if options.sparse:
        # A group of rows has every column that any of its rows uses.
        shared = {rows: taps * (1 - (1 - density) ** rows) for rows in SPARSE_ROWS}
        sparse = ranked(*size, shared, in_place, options.processors)[:SPARSE_CANDIDATES]
        found += [Candidate("csr", tile, clocks) for clocks, tile in sparse]
    return found


def choose(
    options: Options, layer: str, candidates: Sequence[Candidate], density: float
) -> tuple[tuple[str, ConvTile], str]:
    """Format and tile of the candidate to run, and the reason in words."""
    measured = options.measured.get(layer)
    # A layer with fewer candidates than others had its last one measured again and again.
    costs = [candidate.clocks for candidate in candidates]
    costs = costs if measured is None else list(measured)[: len(candidates)]
    number = costs.index(min(costs)) if options.trial is None else min(options.trial, len(candidates) - 1)
    chosen = candidates[number]
    zeros = f"{100 * (1 - density):.1f} % zeros"
    least = {
        kind: min((cost for cost, c in zip(costs, candidates, strict=True) if c.format == kind), default=0.0)
        for kind in ("dense", "csr")
    }
    if not options.sparse:
        reason = "only dense kernels were asked for"
    else:
        ratio = f"sparse {least['dense'] / least['csr']:.2f}x as fast as dense"
        reason = f"{zeros}, {'expected' if measured is None else 'measured'}: {ratio}"
    return (chosen.format, chosen.tile), reason
