"""C libraries for 64-bit Linux machines that need neither Python nor a compiler: made here, for them.

``sparsenet compile MODEL --target aarch64-linux --emit c`` plans a network for another machine, compiles its kernels
for it, and joins them with weights and tape to ``libNAME.a``, where a linker is found also to ``libNAME.so``, with a
header.
See docs/linux_boards.md.
"""

from __future__ import annotations

from sparsenet.c_library.machine import CPUS, MACHINES
from sparsenet.c_library.write import Library, compile_c

__all__ = ["CPUS", "MACHINES", "Library", "compile_c"]
