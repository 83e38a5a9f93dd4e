"""CPU kernels, one family per file: ``build(kernel)`` returns the Numba cfunc of one registry entry.

Image tensors are *rows*: ``[H + halo][C][line]`` float32 with line = width + halo rounded up to whole vectors, the
halo zero. So the element a tap needs is at a fixed byte offset from the output pixel, padding costs no branch, and
one loop serves every kernel size, stride, padding and dilation. A kernel that writes a line writes its zero tail too.
"""
