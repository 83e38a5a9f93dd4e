"""How tensors are laid out on a GPU: channel by channel, batch and pixels as one axis, zeros between neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Floats of a 128-byte memory transaction, and of a thread's widest load.
LINE_FLOATS, VECTOR_FLOATS = 32, 4
#: Axes that kernels tell apart: images, channels, rows, columns.
MAP_AXES = 4


def round_up(value: int, multiple: int) -> int:
    """The next multiple of ``multiple``."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class Maps:
    """The layout ``[channel][image][row][column]`` of float32. All sizes are in floats.

    Pixel (n, y, x) of channel c is stored at ``c * pitch + n * image + y * line + x``. Each row is followed by
    ``columns`` zeros and each image by ``rows`` rows of zeros: padding on the right is the padding on the left of the
    next row, and what is below an image is above the next. ``guard`` zeros of the same memory precede channel 0.

    Tensors of other ranks: (N, F) has F channels of one pixel, so that the batch is the pixels; (N, A, B) has A
    channels and B columns; of more than three axes behind the batch, those after the second are one.
    """

    channels: int
    height: int
    width: int
    images: int
    rows: int = 0
    columns: int = 0

    @property
    def line(self) -> int:
        """Floats from one row to the next."""
        return self.width + self.columns

    @property
    def image(self) -> int:
        """Floats from one image to the next."""
        return (self.height + self.rows) * self.line

    @property
    def pitch(self) -> int:
        """Floats from one channel to the next: whole transactions, unless that would be mostly rounding."""
        positions = self.images * self.image
        return round_up(positions, LINE_FLOATS if positions > LINE_FLOATS else VECTOR_FLOATS)

    @property
    def guard(self) -> int:
        """Floats before pixel (0, 0) of channel 0 that must be zero, from which its padding is read."""
        return self.rows * self.line + self.columns

    @property
    def size(self) -> int:
        """Floats of all channels."""
        return self.channels * self.pitch

    def geometry(self) -> dict[str, int]:
        """The arguments that tell kernels where pixels are."""
        return {
            "width": self.width,
            "height": self.height,
            "line": self.line,
            "image": self.image,
            "images": self.images,
        }

    def lies_like(self, other: Maps) -> bool:
        """Whether a pixel's place in its channel is the same in both."""
        return self.geometry() == other.geometry()


def map_sizes(shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width of one image of a tensor whose shape, without the batch, is ``shape``."""
    channels, *rest = shape or (1,)
    if len(rest) < 2:
        return channels, 1, rest[0] if rest else 1
    width = 1
    for size in rest[1:]:
        width *= size
    return channels, rest[0], width
