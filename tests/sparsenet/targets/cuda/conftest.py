"""Chooses the simulator before any of these tests is imported."""

from __future__ import annotations

import tests.sparsenet.targets.cuda.simulator  # noqa: F401
