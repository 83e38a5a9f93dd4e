"""Durations and bounds as people read them."""

from __future__ import annotations

import math

_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


def at_least(ratio: float) -> str:
    """'at least 1.8', of 1.89: a bound is rounded down."""
    return f"at least {math.floor(ratio * 10) / 10:.1f}"


def threads_text(count: int) -> str:
    """'1 thread', '2 threads'."""
    return f"{count} thread{'s' * (count != 1)}"


def time_text(seconds: float) -> str:
    """Four digits and the unit in which there is one before the point: ``6.643 ms``, ``2.35 s``, ``12 min 5 s``."""
    if seconds >= 60:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes:,} min {rest} s" if rest else f"{minutes:,} min"
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return "0 s"
