"""An alias that scripts know from earlier versions; kernels are in ``sparsenet.targets``."""

from sparsenet.targets.cpu.runtime import jit

__all__ = ["jit"]
