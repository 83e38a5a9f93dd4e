"""A fixed piece of work that no version of this project changes, timed in turn with the engines.

A time in yardsticks can be compared with that of another day: what slows the machine down, slows both (see
``sparsenet.timing.quartile_ratio``). Products of matrices follow the machine as networks do; element-wise arithmetic,
in the first or second level of the caches, did so half as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from threadpoolctl import ThreadpoolController

#: Its name among the turns of a round.
YARDSTICK = "yardstick"
#: Products of square matrices of so many rows: like convolutions, much arithmetic in the second-level cache; 3 ms.
SIDE, PRODUCTS = 256, 8


def yardstick() -> Callable[[], object]:
    """The work, on one thread, as a call."""
    a, b = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), np.float32)
    product, controller = np.empty_like(a), ThreadpoolController()

    def call() -> None:
        with controller.limit(limits=1):
            for _ in range(PRODUCTS):
                np.matmul(a, b, out=product)

    return call
