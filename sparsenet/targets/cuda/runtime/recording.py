"""A sequence of launches and copies, recorded once as a CUDA graph and then run by one call of the driver."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

from numba import cuda

from sparsenet.targets.cuda.simt.machine import SIMULATED


def _checked(result: tuple[Any, ...]) -> Any:
    """The value of a driver call.

    Raises:
        RuntimeError: the driver reports an error.
    """
    status, *values = result
    if int(status) != 0:
        raise RuntimeError(f"CUDA driver: {status!r}")
    return values[0] if values else None


class Recording:
    """The work that ``body`` puts on ``stream``, run again by each call; the simulator calls ``body`` itself.

    ``body`` runs once by itself first: that compiles and loads its kernels, which a recording must not. It is not kept:
    whoever calls a recording keeps the memory that it works on.
    """

    def __init__(self, stream: Any, body: Callable[[], None]) -> None:
        self._stream = stream
        if SIMULATED:
            self._body = body
            return
        from cuda.bindings import driver

        body()
        stream.synchronize()
        handle = driver.CUstream(int(stream))
        # Relaxed: an array that is freed meanwhile, by anyone, does not spoil the recording.
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        _checked(driver.cuStreamBeginCapture(handle, mode))
        try:
            body()
        finally:
            graph = _checked(driver.cuStreamEndCapture(handle))
        self._executable = _checked(driver.cuGraphInstantiate(graph, 0))
        _checked(driver.cuGraphDestroy(graph))
        self._launch, self._handle = driver.cuGraphLaunch, handle
        weakref.finalize(self, driver.cuGraphExecDestroy, self._executable)

    def __call__(self) -> None:
        """Put the recorded work on the stream, without waiting for it."""
        if SIMULATED:
            self._body()
        else:
            _checked(self._launch(self._executable, self._handle))

    def seconds(self) -> float:
        """Seconds that one run takes, by the GPU's own clock."""
        if SIMULATED:
            start = time.perf_counter()
            self()
            return time.perf_counter() - start
        first, last = cuda.event(), cuda.event()
        first.record(self._stream)
        self()
        last.record(self._stream)
        last.synchronize()
        return float(cuda.event_elapsed_time(first, last)) * 1e-3
