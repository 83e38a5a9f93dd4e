"""Choosing among the ways to run a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparsenet.kernels.registry import Kernel
from sparsenet.plan.builder import Builder, Options
from sparsenet.plan.stage import Stage


@dataclass(frozen=True)
class Candidate:
    """One way to run a layer.

    Attributes:
        format: how it stores weights.
        kernel: its kernel.
        limit: density below which it is expected to be faster than the candidates before it in the list.
        make: packs the weights and returns the stage.
    """

    format: str
    kernel: Kernel
    limit: float
    make: Callable[[Builder], Stage]


def choose(options: Options, candidates: Sequence[Candidate], density: float) -> tuple[Candidate, str]:
    """The candidate to run and the reason in words; the first candidate is the dense one.

    By ``options.kernels``, else by the density from which each pays.
    """
    dense, *sparse = candidates
    if options.kernels == "dense" or not sparse:
        return dense, "only dense kernels were asked for" if options.kernels == "dense" else "no zeros"
    chosen = dense
    for candidate in sparse:
        if density < candidate.limit or (options.kernels == "sparse" and chosen is dense):
            chosen = candidate
    if options.kernels == "sparse":
        return chosen, "only sparse kernels were asked for"
    zeros = f"{100 * (1 - density):.1f} % zeros"
    if chosen is dense:
        return dense, f"{zeros}, sparse pays from {100 * (1 - sparse[0].limit):.0f} % on"
    return chosen, f"{zeros}, more than the {100 * (1 - chosen.limit):.0f} % from which it pays"
