"""This machine, as far as planning asks: which target it is, and whether it offers double-mapped ring buffers."""

from __future__ import annotations

import mmap
import os
import sys
from functools import cache

from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.plan.rings import PAGE, Ring
from sparsenet.targets.cpu.runtime import jit
from sparsenet.targets.cpu.runtime.ring_memory import Arena
from sparsenet.targets.target import TARGETS, Target, best


@cache
def host() -> Target:
    """The target that this machine is; ``SPARSENET_LANES`` limits the vectors, ``NUMBA_CPU_FEATURES`` the features.

    Raises:
        InputError: ``SPARSENET_LANES`` is no number of lanes.
    """
    lanes = {str(target.vector().lanes): target.vector().lanes for target in TARGETS.values()}
    most = os.environ.get("SPARSENET_LANES", next(iter(lanes)))
    if most not in lanes:
        raise InputError(f"SPARSENET_LANES must be one of {', '.join(lanes)}, got {most[:40]!r}")
    return best(jit.cpu_features(), lanes[most])


@cache
def rings_available() -> bool:
    """Whether this system can map double-mapped ring buffers."""
    if sys.platform != "linux" or not hasattr(os, "memfd_create") or mmap.PAGESIZE != PAGE:
        return False
    try:
        Arena(PAGE, [Ring(2 * PAGE, PAGE, 0)])
    except MemoryLimitError:
        return False
    return True
