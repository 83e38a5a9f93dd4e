"""CUDA tests run in Numba's simulator, or with SPARSENET_GPU_TESTS=1 on a GPU; importing this decides.

The simulator must be chosen before ``numba.cuda`` is imported, which nothing but CUDA kernels does; it is chosen in
this process alone, not in those that tests start.
"""

from __future__ import annotations

import os
import sys

import numba

ON_GPU = os.environ.get("SPARSENET_GPU_TESTS") == "1"
if not ON_GPU:
    assert "numba.cuda" not in sys.modules or numba.config.ENABLE_CUDASIM, (
        "numba.cuda came before the simulator"
    )
    numba.config.ENABLE_CUDASIM = 1
