"""One plan on the device: its memory, its recording, and the pinned buffers through which NumPy arrays go."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, partial
from math import prod
from typing import Any

import numpy as np
from numba import cuda

from sparsenet.graph import FloatArray
from sparsenet.targets.cuda.families import argument_counts
from sparsenet.targets.cuda.plan import CudaPlan, Launch, Port
from sparsenet.targets.cuda.runtime.recording import Recording
from sparsenet.targets.cuda.simt.machine import SIMULATED, entry
from sparsenet.targets.registry import FAMILIES, Kernel

#: How often a launch is repeated to be timed: one alone is as short as the clock's steps.
REPEATS = 20


@cache
def compiled(kernel: Kernel) -> Any:
    """The kernel, ready to be launched."""
    function: Any = kernel.build()
    return entry(function, len(FAMILIES[kernel.family].arguments), *argument_counts(kernel.epilogue))


class Session:
    """A plan whose weights are on the device. Not safe to use from several threads at once."""

    def __init__(self, plan: CudaPlan) -> None:
        self.plan = plan
        self._stream = cuda.stream()
        memory = np.zeros(plan.memory_floats, np.float32)
        for offset, array in plan.constants:
            memory[offset : offset + array.size] = array.reshape(-1)
        self._memory = cuda.to_device(memory, self._stream)
        self._weights = cuda.to_device(plan.weights, self._stream)
        self._tables = cuda.to_device(plan.tables, self._stream)
        self._stream.synchronize()
        self._inputs = [self._part(port) for port in plan.inputs]
        self._outputs = [self._part(port) for port in plan.outputs]
        self._pinned_inputs = [_pinned(port) for port in plan.inputs]
        self._pinned_outputs = [_pinned(port) for port in plan.outputs]
        self._from_host: Recording | None = None
        self._on_device: Recording | None = None

    def run(self, arrays: list[FloatArray]) -> list[FloatArray]:
        """Outputs for NumPy arrays: one launch of the driver for copies and kernels together."""
        for pinned, array in zip(self._pinned_inputs, arrays, strict=True):
            pinned[:] = array.reshape(-1)
        if self._from_host is None:
            self._from_host = Recording(self._stream, self._copy_and_launch)
        self._from_host()
        self._stream.synchronize()
        outputs = zip(self._pinned_outputs, self.plan.outputs, strict=True)
        return [np.array(pinned).reshape(port.shape) for pinned, port in outputs]

    def run_on_device(self, arrays: list[Any]) -> list[Any]:
        """Outputs on the device for arrays on the device: nothing passes through the host."""
        for target, array in zip(self._inputs, arrays, strict=True):
            target.copy_to_device(array.reshape(-1), self._stream)
        if self._on_device is None:
            self._on_device = Recording(self._stream, self._launch_all)
        self._on_device()
        outputs = []
        for source, port in zip(self._outputs, self.plan.outputs, strict=True):
            result = cuda.device_array(prod(port.shape), np.float32)
            result.copy_to_device(source, self._stream)
            outputs.append(result.reshape(port.shape))
        self._stream.synchronize()
        return outputs

    def launch_timers(self) -> list[Callable[[], float]]:
        """The timer of every launch; see ``launch_timer``."""
        return [self.launch_timer([launch]) for launch in self.plan.launches]

    def layer_timer(self, layer: str) -> Callable[[], float]:
        """A function that measures, at each call, the seconds that the launches of ``layer`` take."""
        return self.launch_timer([launch for launch in self.plan.launches if launch.layer == layer])

    def timer(self) -> Callable[[], float]:
        """A function that measures, at each call, the seconds of all launches, from device memory to device memory."""
        if self._on_device is None:
            self._on_device = Recording(self._stream, self._launch_all)
        return partial(self._seconds, self._on_device, 1)

    def launch_timer(self, launches: list[Launch]) -> Callable[[], float]:
        """A function that measures, at each call, the seconds of these launches, repeated: cached if data fits."""
        repeats = 1 if SIMULATED else REPEATS

        def body() -> None:
            for _ in range(repeats):
                for launch in launches:
                    self._launch(launch)

        return partial(self._seconds, Recording(self._stream, body), repeats)

    # ---

    def _seconds(self, recording: Recording, repeats: int) -> float:
        """Seconds of one repetition; a method, so that a timer holds the memory that its recording works on."""
        return recording.seconds() / repeats

    def _part(self, port: Port) -> Any:
        return self._memory[port.offset : port.offset + prod(port.shape)]

    def _launch(self, launch: Launch) -> None:
        with warnings.catch_warnings():
            # Numba warns of small grids, in a class that differs between its versions; small maps have no larger ones.
            warnings.simplefilter("ignore")
            configured = compiled(launch.kernel)[launch.blocks, launch.threads, self._stream]
        configured(
            self._memory, self._weights, self._tables, *launch.integers, launch.tensors, launch.numbers
        )

    def _launch_all(self) -> None:
        for launch in self.plan.launches:
            self._launch(launch)

    def _copy_and_launch(self) -> None:
        for target, pinned in zip(self._inputs, self._pinned_inputs, strict=True):
            target.copy_to_device(pinned, self._stream)
        self._launch_all()
        for source, pinned in zip(self._outputs, self._pinned_outputs, strict=True):
            source.copy_to_host(pinned, self._stream)


def _pinned(port: Port) -> Any:
    return cuda.pinned_array(prod(port.shape), np.float32)
