"""Memory of one run: rings go on where they end, and what the system does not give is an error of ours."""

from __future__ import annotations

import ctypes
import os
import sys

import numpy as np
import pytest

from sparsenet.errors import MemoryLimitError
from sparsenet.plan.rings import GUARD_BYTES, PAGE, Ring
from sparsenet.targets.cpu.runtime.ring_memory import Arena

linux = pytest.mark.skipif(sys.platform != "linux", reason="rings need memfd")


@linux
def test_a_ring_goes_on_at_its_beginning() -> None:
    ring = Ring(PAGE + GUARD_BYTES, 2 * PAGE, 0)
    arena = Arena(PAGE, [ring])
    space = (ctypes.c_uint8 * (6 * PAGE)).from_address(arena.address + ring.start - GUARD_BYTES)
    data = np.frombuffer(space, np.uint8)[GUARD_BYTES:]
    data[: 2 * PAGE] = np.arange(2 * PAGE) % 251
    np.testing.assert_array_equal(data[2 * PAGE : 4 * PAGE], data[: 2 * PAGE])
    data[3 * PAGE] = 7
    assert data[PAGE] == 7


def test_more_than_an_address_space_is_refused() -> None:
    with pytest.raises(
        MemoryLimitError, match="does not give 1,152,921,504,606,846,976 bytes of working memory"
    ):
        Arena(1 << 60, [])


@linux
def test_a_ring_that_cannot_be_mapped_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_name: str) -> int:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr("os.memfd_create", full)
    with pytest.raises(MemoryLimitError, match="Too many open files"):
        Arena(PAGE, [Ring(PAGE + GUARD_BYTES, PAGE, 0)])
