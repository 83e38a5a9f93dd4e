"""Positions of a channel, which run over images, rows and columns, zeros between them included."""

from __future__ import annotations

from sparsenet.targets.cuda.simt.machine import device, divide


@device
def pixel_at(position, width, height, line, image, images):  # type: ignore[no-untyped-def]
    """Image, row and column of a position, and whether a pixel is there, not one of the zeros between them."""
    n = divide(position, image)
    row = divide(position - n * image, line)
    column = position - n * image - row * line
    return n, row, column, column < width and row < height and n < images


@device
def is_pixel(position, width, height, line, image, images):  # type: ignore[no-untyped-def]
    """Whether a position is a pixel, not one of the zeros between rows and images."""
    return pixel_at(position, width, height, line, image, images)[3]


@device
def place_over(number, second, third, first_stride, second_stride, third_stride):  # type: ignore[no-untyped-def]
    """Offset of element ``number`` of an iteration over three axes; the last, of ``third`` elements, runs fastest."""
    i = divide(number, second * third)
    j = divide(number - i * second * third, third)
    return i * first_stride + j * second_stride + (number - (i * second + j) * third) * third_stride
