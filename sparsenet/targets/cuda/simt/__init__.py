"""The basis of CUDA kernels: the only package that knows how Numba reaches a GPU.

Kernels are plain Python over three arrays: ``memory`` (float32: activations), ``weights`` (float32) and ``tables``
(int32), with int64 element offsets into them. ``machine`` gives 128-bit and read-only loads, and 32-bit division; in
Numba's CUDA simulator (``NUMBA_ENABLE_CUDASIM=1``) each of these is the line of Python that says the same, and
everything else in a kernel is the same code on both. Kernels use no warp operations, which the simulator lacks: sums
of several threads meet in shared memory.

Indices are not checked: what kernels read was validated when the model was loaded and planned.
"""
