"""CUDA kernels, one family per file: ``build(kernel)`` returns the launchable kernel of one registry entry.

Every tensor is *maps*: ``[channel][image][row][column]`` float32, batch and pixels one axis (``targets.cuda.layout``).
Zeros separate neighbouring rows and images, as wide as any convolution of this map size reaches, so that a tap is a
constant offset from its output pixel and padding costs no branch; a kernel that writes a channel writes its zeros too.
"""
