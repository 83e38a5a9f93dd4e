"""Whether a GPU can be used here, and one clear line where it cannot."""

from __future__ import annotations

import ctypes
import importlib.util
import sys

from sparsenet.errors import DeviceError, MissingCompilerError, MissingExtraError

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def simulated() -> bool:
    """Whether Numba's CUDA simulator stands in for a GPU (``NUMBA_ENABLE_CUDASIM=1``)."""
    from numba import config

    return bool(config.ENABLE_CUDASIM)


def require_gpu() -> None:
    """Raise unless a GPU, or the simulator, can be used.

    Raises:
        DeviceError: no GPU was found, or its driver or compiler does not work.
        MissingCompilerError: Numba is not installed.
        MissingExtraError: there is a GPU, but numba-cuda is not installed.
    """
    try:
        if simulated():
            return
    except ImportError as error:
        raise MissingCompilerError(f"kernels cannot be compiled: {error}; install numba") from error
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        raise DeviceError(
            "no NVIDIA GPU was found (there is no CUDA driver): use device='cpu', or device='auto', which takes a "
            "GPU where there is one"
        ) from None
    if importlib.util.find_spec("numba_cuda") is None:
        raise MissingExtraError("device='cuda'", "cuda")
    from numba import cuda

    if not cuda.is_available():
        raise DeviceError(
            f"the GPU cannot be used ({_reason()}): check nvidia-smi and `python -m numba -s`, or use device='cpu'"
        )


def gpu_available() -> bool:
    """Whether ``device="auto"`` takes a GPU; the simulator, slower than any CPU, does not count."""
    try:
        require_gpu()
        return not simulated()
    except (DeviceError, ImportError):
        return False


def _reason() -> str:
    from numba import cuda

    error = cuda.cuda_error()
    return str(error).strip().splitlines()[0] if error else "its compiler, NVVM, is missing or too old"
