"""Candidates: the ways to run a layer, before one is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparsenet.plan.stage import Stage
from sparsenet.plan.weights import Weights
from sparsenet.targets.registry import Kernel


@dataclass(frozen=True)
class Candidate:
    """One way to run a layer.

    Attributes:
        format: how it stores weights.
        kernel: its kernel.
        limit: density below which it is expected to be faster than the candidates before it in the list.
        make: packs into the weights of the plan, or of a trial, and returns the stage.
        variant: what distinguishes it from others with the same kernel.
    """

    format: str
    kernel: Kernel
    limit: float
    make: Callable[[Weights], Stage]
    variant: str = ""

    @property
    def name(self) -> str:
        """A name that is unique among the candidates of a layer."""
        return self.kernel.name + (f" {self.variant}" if self.variant else "")
