"""Compiled bundles: a plan, its packed weights and its machine code in a folder, for one kind of CPU.

Loading one needs neither Numba nor the planner, so a process is at its first result sooner; what it loads is described
byte by byte in docs/bundle.md. A bundle holds machine code: one from a stranger is a program from a stranger. The
checks here find damage and mistakes, since kernels check no bounds; they are no defence against malice. The model file
is the format to share.
"""

from __future__ import annotations

from sparsenet.bundle.format import Bundle
from sparsenet.bundle.read import load
from sparsenet.bundle.write import require_place, save

__all__ = ["Bundle", "load", "require_place", "save"]
