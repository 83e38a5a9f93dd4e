"""Arrays of other libraries that already are on the GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

#: ``DLDeviceType`` of memory of a CUDA device (dlpack.h).
_DLPACK_CUDA = 2


def on_device(array: object) -> bool:
    """Whether ``array`` says that its memory is a GPU's."""
    if isinstance(array, np.ndarray):
        return False
    if hasattr(array, "__cuda_array_interface__") or hasattr(
        array, "copy_to_host"
    ):  # the simulator's has the latter
        return True
    where = getattr(array, "__dlpack_device__", None)
    return where is not None and int(where()[0]) == _DLPACK_CUDA


def as_device_array(array: Any) -> Any:
    """A view of ``array``, with no copy: PyTorch, CuPy, JAX, Numba, …"""
    from numba import cuda

    if hasattr(array, "__cuda_array_interface__"):
        return cuda.as_cuda_array(array)
    if hasattr(array, "copy_to_host"):
        return array
    from cuda.core.utils import StridedMemoryView
    from numba.cuda.api import from_cuda_array_interface

    # -1: no stream of ours to wait for it; this waits for all work on the device instead.
    view = StridedMemoryView.from_dlpack(array, stream_ptr=-1)
    cuda.synchronize()
    itemsize = np.dtype(view.dtype).itemsize
    strides = None if view.strides is None else tuple(itemsize * step for step in view.strides)
    described = {
        "shape": tuple(view.shape),
        "strides": strides,
        "typestr": np.dtype(view.dtype).str,
        "data": (view.ptr, False),
        "version": 3,
    }
    return from_cuda_array_interface(described, owner=(view, array))
