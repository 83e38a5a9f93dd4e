"""What the registry says of a kernel family."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """One algorithm.

    Attributes:
        module: file below ``sparsenet.kernels`` whose ``build(kernel)`` returns the Numba cfunc, or for a GPU the
            function that ``simt.machine.entry`` makes a kernel.
        arguments: names of the tape arguments, in order; those of the epilogue follow. A CUDA kernel's are its int64
            parameters, between the three arrays and what the epilogue reads.
        tile: names of the tile parameters, in the order of the name's last word.
        summary: what it computes, for the support table.
    """

    module: str
    arguments: tuple[str, ...]
    tile: tuple[str, ...]
    summary: str
