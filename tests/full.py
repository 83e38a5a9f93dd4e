"""``SPARSENET_FULL=1`` runs the tests at full length: every combination, more examples, longer runs."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from sparsenet.targets.host import host

T = TypeVar("T")
FULL = os.environ.get("SPARSENET_FULL") == "1"


def chosen(short: Iterable[T], full: Iterable[T]) -> list[T]:
    """The combinations to run: ``short``, which has every value at least once, or all of them."""
    return list(full if FULL else short)


def spread(values: Sequence[T], share: int = 3) -> list[T]:
    """The first of every ``share`` of ``values``, or all of them."""
    return chosen(values[::share], values)


def crossed(*values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Combinations of one of each of ``values``: all of them, or as few as have every value, each in its turn."""
    longest = max(len(some) for some in values)
    in_turn = [tuple(some[i % len(some)] for some in values) for i in range(longest)]
    return chosen(in_turn, itertools.product(*values))


#: float32 lanes of every vector that this CPU has, the longest first.
LENGTHS = [lanes for lanes in (16, 8, 4) if lanes <= host().vector().lanes]


def at_each_length(values: Sequence[T], lengths: Sequence[int] = LENGTHS) -> list[tuple[int, T]]:
    """``(lanes, value)``: every value with the longest vectors, a third with the shorter ones in turn; or all."""
    longest, *shorter = lengths
    every = [(lanes, value) for lanes in lengths for value in values]
    if not shorter:
        return every
    count = max(len(shorter), math.ceil(len(values) / 3))
    turns = [(shorter[i % len(shorter)], values[i * len(values) // count]) for i in range(count)]
    return chosen([*((longest, value) for value in values), *turns], every)
