"""Where start-up time goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Timings:
    """Seconds spent before steady state.

    Attributes:
        imports: importing what the engine needs, once in a process, as far as ``sparsenet`` itself did it.
        load: reading and checking the model file or bundle.
        plan: planning and packing weights; 0 for a bundle.
        compile: compiling kernels, or loading their machine code.
        first: the first inference.
    """

    imports: float = 0.0
    load: float = 0.0
    plan: float = 0.0
    compile: float = 0.0
    first: float = 0.0


@contextlib.contextmanager
def add_seconds(timings: Timings, name: str) -> Iterator[None]:
    """A context whose seconds are added to the timing ``name``."""
    start = time.perf_counter()
    yield
    setattr(timings, name, getattr(timings, name) + time.perf_counter() - start)
