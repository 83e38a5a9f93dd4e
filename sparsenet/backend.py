"""Backends, which an engine hands its work to: one interface for compiled kernels, NumPy and a GPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from sparsenet.graph.feeds import Adopt
from sparsenet.plan.plan import Plan

if TYPE_CHECKING:
    from sparsenet.timing.layer_profile import TimedSteps


class Backend(ABC):
    """Runs one network. The engine checks what comes from outside; a backend sees only what passed.

    It may be called from several threads at once, and an exception at any moment, as a signal handler raises them,
    leaves it as usable as before.

    Attributes:
        plan: inputs, outputs and decisions; for this CPU everything else too that was planned.
        threads: how many share an inference.
        device: where it runs.
        adopt: takes an array that is on the device already; None where there is no memory but the CPU's.
    """

    plan: Plan
    threads: int = 1
    device: Literal["cpu", "cuda"] = "cpu"
    adopt: Adopt | None = None

    @abstractmethod
    def run(self, arrays: list[Any]) -> dict[str, Any]:
        """Outputs by name, (N, ...), for checked inputs in order, partial outputs cut to their valid elements.

        Raises:
            InputError: the network cannot take inputs of this size.
            MemoryLimitError: the outputs would take more than ``limits.memory_limit``.
        """

    @abstractmethod
    def time_steps(self, arrays: list[Any], runs: int) -> TimedSteps:
        """The time of each step of an inference, in ``runs`` runs or more, for checked inputs of at least one sample.

        Raises:
            InputError, MemoryLimitError: as ``run``.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what the backend holds beside memory of this process; the next run would take it again."""
