"""Tensors as exported code keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from sparsenet.graph.types import F32, ElementType
from sparsenet.targets.c99.constant import Constant


def is_image(shape: Sequence[int]) -> bool:
    """Whether a tensor is (channels, height, width), perhaps with more axes of one element before."""
    return len(shape) >= 3 and prod(shape[:-3]) == 1


def map_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width) of an image; any other tensor has one line for each channel, a single number one."""
    if is_image(shape):
        channels, height, width = shape[-3:]
        return channels, height, width
    return (shape[0] if shape else 1), 1, prod(shape[1:])


@dataclass(eq=False)
class Value:
    """A tensor of one image.

    A map (C, H, W) is rows ``[C][line]``, of which ``capacity`` have a place at a time: row y is in place
    ``y % capacity``. A line has W numbers and ``side`` zeros, which are the padding behind it and before the next; the
    padding above and below is no row at all. A *flat* value is kept whole, in C order: it has no padding, and all
    other tensors, and results for the caller, are flat.

    Attributes:
        tensor: its name in the graph.
        shape: (channels, height, width); see ``map_shape``.
        side: zeros before and behind each line.
        flat: whether it is in C order.
        output: which of the caller's arrays it is written to; None if it is kept in the arena.
        fixed: where it is in flash, if it is a constant.
        viewed: the value whose memory it shares under another shape.
        zero: the byte that its padding holds.
        capacity: rows kept; the schedule tells.
        offset: bytes from the beginning of the arena.
    """

    tensor: str
    shape: tuple[int, int, int]
    element: ElementType = F32
    side: int = 0
    flat: bool = False
    output: int | None = None
    fixed: Constant | None = None
    viewed: Value | None = None
    zero: int = 0
    capacity: int = 0
    offset: int = 0

    @property
    def root(self) -> Value:
        """The value whose memory this is."""
        return self.viewed or self

    @property
    def height(self) -> int:
        """Rows of the whole map."""
        return self.shape[1]

    @property
    def width(self) -> int:
        """Numbers of a line."""
        return self.shape[2]

    @property
    def size(self) -> int:
        """Numbers of the whole tensor."""
        return prod(self.shape)

    @property
    def channel(self) -> int:
        """Numbers from one channel to the next."""
        return self.height * self.width if self.flat else self.width + self.side

    @property
    def row(self) -> int:
        """Numbers from one row to the next."""
        return self.width if self.flat else self.shape[0] * self.channel

    @property
    def first(self) -> int:
        """Bytes from the beginning of the buffer to pixel (0, 0) of the row in the first place."""
        return self.side * self.element.itemsize

    @property
    def buffer_bytes(self) -> int:
        """Bytes of the buffer."""
        numbers = self.size if self.flat else self.capacity * self.row
        return self.first + numbers * self.element.itemsize
