"""What kernels and the planner agree on about panels (see ``kernels.panel_conv_quads``)."""

from __future__ import annotations

#: The most that a panel may take, of a thread's stack and of the first-level cache.
PANEL_BYTES = 24 * 1024
#: Bits by which products of sums and fixed-point multipliers are shifted to be numbers of steps.
SHIFT = 5
