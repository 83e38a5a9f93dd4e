"""How tensors lie on a GPU: channel by channel, batch and pixels as one axis, zeros between neighbours."""

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
    """``[channel][image][row][column]`` float32. All sizes are in floats.

    Pixel (n, y, x) of channel c stands at ``c * pitch + n * image + y * line + x``. Behind each row stand ``columns``
    zeros and behind each image ``rows`` rows of zeros: padding on the right is the padding on the left of the next row,
    and what is below an image is above the next. In front of channel 0 stand ``guard`` zeros of the memory it lies in.

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
        """From one row to the next."""
        return self.width + self.columns

    @property
    def image(self) -> int:
        """From one image to the next."""
        return (self.height + self.rows) * self.line

    @property
    def pitch(self) -> int:
        """From one channel to the next: whole transactions, unless that would be mostly rounding."""
        positions = self.images * self.image
        return round_up(positions, LINE_FLOATS if positions > LINE_FLOATS else VECTOR_FLOATS)

    @property
    def guard(self) -> int:
        """How far before pixel (0, 0) of channel 0 the zeros begin that its padding is read from."""
        return self.rows * self.line + self.columns

    @property
    def size(self) -> int:
        """All channels."""
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
