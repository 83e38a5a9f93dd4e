"""What becomes of samples, and of calls that are too short for a clock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparsenet.timing import Samples


def least_of_neighbours(seconds: Samples, rounds: int) -> Samples:
    """The least of every few neighbours, ``rounds`` in all: others on the machine only ever add time."""
    return np.array([part.min() for part in np.array_split(seconds, rounds) if part.size])


def repeated(call: Callable[[], object], count: int) -> Callable[[], None]:
    """``call`` made ``count`` times."""

    def many() -> None:
        for _ in range(count):
            call()

    return many
