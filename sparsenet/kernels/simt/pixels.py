"""Where a position of a channel lies: positions run over images, rows and columns, zeros between them included."""

from __future__ import annotations

from sparsenet.kernels.simt.machine import device, divide


@device
def is_pixel(position, width, height, line, image, images):  # type: ignore[no-untyped-def]
    """Whether there is a pixel, not one of the zeros between rows and images."""
    n = divide(position, image)
    y = divide(position - n * image, line)
    x = position - n * image - y * line
    return x < width and y < height and n < images
