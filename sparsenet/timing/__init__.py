"""The one place that decides how time is taken: by which clock, which samples count, and how sure a ratio is.

``clock`` times one call and notices what disturbed it, ``rounds`` lets several calls take turns and drops what was
disturbed, ``ratio`` compares them or says that the machine was too noisy to tell.
"""

from sparsenet.timing.clock import CLOCKS, DEVICE, PROCESS, THREAD, WALL, Clock, Sample, clock_for, stopwatch
from sparsenet.timing.ratio import (
    FEWEST,
    Ratio,
    Samples,
    Spread,
    few,
    median_interval,
    paired_ratio,
    quartile_ratio,
    spread,
)
from sparsenet.timing.rounds import (
    PATIENCE,
    SETTLE,
    Rounds,
    interleaved,
    no_collection,
    rounds_for,
    take_rounds,
    turns_of,
)

__all__ = [
    "CLOCKS",
    "DEVICE",
    "FEWEST",
    "PATIENCE",
    "PROCESS",
    "SETTLE",
    "THREAD",
    "WALL",
    "Clock",
    "Ratio",
    "Rounds",
    "Sample",
    "Samples",
    "Spread",
    "clock_for",
    "few",
    "interleaved",
    "median_interval",
    "no_collection",
    "paired_ratio",
    "quartile_ratio",
    "rounds_for",
    "spread",
    "stopwatch",
    "take_rounds",
    "turns_of",
]
