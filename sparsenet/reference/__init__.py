"""The oracle: every op in plain NumPy and float64, so simple that it is obviously right.

It shares no code with the kernels it judges, and doubles as the fallback backend where no kernel exists.
One file per op family; ``registry.OPERATIONS`` maps the op's name to its function.
"""

from __future__ import annotations

from sparsenet.reference.oracle import run
from sparsenet.reference.registry import OPERATIONS

__all__ = ["OPERATIONS", "run"]
