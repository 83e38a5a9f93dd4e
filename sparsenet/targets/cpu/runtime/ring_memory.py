"""Working memory with double-mapped ring buffers (see ``sparsenet.plan.rings``).

Linux only (memfd); elsewhere the planner uses windows whose rows are moved.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from functools import cache
from io import FileIO
from typing import Any

from sparsenet.errors import MemoryLimitError
from sparsenet.plan.rings import GUARD_BYTES, PAGE, Ring, arena_end, ring_memory_bytes

_PROT = mmap.PROT_READ | mmap.PROT_WRITE if hasattr(mmap, "PROT_READ") else 0
_MAP_FIXED = 0x10
_FAILED = ctypes.c_void_p(-1).value


class Arena:
    """Memory for one run at a time.

    Attributes:
        address: of its first byte, a multiple of ``PAGE``.
        process: the process that made it; after a fork, a child shares the rings and must make its own.

    Raises:
        MemoryLimitError: the system does not give the memory.
    """

    def __init__(self, plain_bytes: int, rings: Sequence[Ring]) -> None:
        size = -(-arena_end(plain_bytes, rings) // PAGE) * PAGE
        self.process = os.getpid()
        try:
            self._block = mmap.mmap(-1, size + PAGE)
            view = ctypes.c_char.from_buffer(self._block)
            self.address = -(-ctypes.addressof(view) // PAGE) * PAGE
            del view
            if rings:
                self._map(rings)
        except OSError as error:
            raise MemoryLimitError(
                f"the system does not give {size:,} bytes of working memory: {error.strerror}"
            ) from error

    def _map(self, rings: Sequence[Ring]) -> None:
        # Within one call of the interpreter, an object takes the descriptor: no exception comes between and loses it.
        with next(map(FileIO, map(os.memfd_create, ["sparsenet"]), ["r+"])) as memory:
            file = memory.fileno()
            os.ftruncate(file, ring_memory_bytes(rings))
            for ring in rings:
                start, end = self.address + ring.start, ring.physical + ring.size
                _map_at(start - GUARD_BYTES, GUARD_BYTES, file, end - GUARD_BYTES)
                _map_at(start, ring.size, file, ring.physical)
                _map_at(start + ring.size, ring.size, file, ring.physical)
                _map_at(start + 2 * ring.size, GUARD_BYTES, file, ring.physical)


@cache
def _libc_mmap() -> Any:
    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
    return function


def _map_at(address: int, size: int, file: int, offset: int) -> None:
    """Put ``size`` bytes of ``file`` in the place of the memory at ``address``, which this process owns."""
    got = _libc_mmap()(address, size, _PROT, mmap.MAP_SHARED | _MAP_FIXED, file, offset)
    if got == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot map a ring: {os.strerror(number)}")
