"""Compiles CUDA kernels to PTX without a GPU, and tells what came out; run as a process of its own.

python -m tests.sparsenet.targets.cuda.ptx 8.0 9.0
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace


def main(capabilities: list[str]) -> None:
    """Print as JSON, for each capability and kernel, whether local arrays stayed in memory and how it loads."""
    from numba import cuda
    from numba.cuda import dispatcher

    from sparsenet.targets.cuda.families import argument_counts
    from sparsenet.targets.cuda.simt.machine import signature
    from sparsenet.targets.registry import FAMILIES
    from tests.sparsenet.targets.cuda.tiles import kernels

    found = {}
    for number in capabilities:
        capability = tuple(map(int, number.split(".")))
        # Functions that kernels call are compiled for the GPU that is there; there is none.
        dispatcher.get_current_device = lambda at=capability: SimpleNamespace(compute_capability=at)
        for kernel in kernels():
            types = signature(len(FAMILIES[kernel.family].arguments), *argument_counts(kernel.epilogue))
            ptx, _ = cuda.compile(
                kernel.build(), types, device=False, cc=capability, output="ptx", abi="numba"
            )
            found[f"{kernel.name} sm_{number}"] = {
                "local": ".local" in ptx,
                "vectors": "ld.global.nc.v4" in ptx,
                "doubles": ".f64" in ptx,
            }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
