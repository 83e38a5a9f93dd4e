"""Windows of convolution and pooling, and their places over an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.builder import Unsupported
from sparsenet.graph.ops.windows import conv_output_size


@dataclass(frozen=True)
class Window:
    """A window in two directions, rows and columns, or in three, depth before them.

    Attributes:
        kernel: taps in each direction.
        stride, dilation: pixels from window to window and from tap to tap.
        padding: pixels in front of the image in each direction, then behind it: [top, left, bottom, right].
    """

    kernel: Sequence[int]
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]

    def attrs(self, *names: str) -> dict[str, list[int]]:
        """Some of the window's numbers as attributes of a node."""
        return {name: [int(number) for number in getattr(self, name)] for name in names}

    def counted(self, count: Sequence[int]) -> Windows:
        """The windows over an image, so many down and across."""
        return Windows(self.kernel, self.stride, self.padding, self.dilation, count)

    def over(self, size: Sequence[int]) -> Windows:
        """All windows over an image of (H, W) pixels; Unsupported if it has no room for one."""
        count = [
            conv_output_size(
                size[i],
                self.kernel[i],
                self.stride[i],
                self.padding[i],
                self.padding[i + 2],
                self.dilation[i],
            )
            for i in range(2)
        ]
        if min(count) < 1:
            raise Unsupported(f"a kernel of {list(self.kernel)} does not fit into {list(size)}")
        return self.counted(count)


@dataclass(frozen=True)
class Windows(Window):
    """The windows over an image; ``count``: how many there are, down and across."""

    count: Sequence[int]

    def first(self, direction: int) -> np.ndarray:
        """The row (direction 0) or column (1) where each window begins; before the image it is negative."""
        return np.arange(self.count[direction]) * self.stride[direction] - self.padding[direction]

    def taps(self, direction: int) -> np.ndarray:
        """Offset of each row or column of a window from its beginning."""
        return np.arange(self.kernel[direction]) * self.dilation[direction]


#: The window of a convolution that sees one pixel at a time.
PIXEL = Window([1, 1], [1, 1], [0, 0, 0, 0], [1, 1])
