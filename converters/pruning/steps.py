"""How far work that goes layer by layer has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: Called after each layer with how many steps are done, and how many there are.
Progress = Callable[[int, int], object]


@dataclass
class Steps:
    """Counts layers for a ``Progress``."""

    progress: Progress
    total: int
    done: int = 0

    def __call__(self) -> None:
        """Count one more."""
        self.skip(1)

    def skip(self, steps: int) -> None:
        """Count some that were done before."""
        self.done += steps
        self.progress(self.done, self.total)
