"""MiniXception: the small students of tables 3 to 5 of the inference-acceleration paper."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from training.models.layers import (
    KERAS_BN_EPS,
    Conv2dSame,
    MaxPoolSame,
    SeparableConv2d,
    global_average_pool,
    initialise,
)


class ResidualBlock(nn.Module):
    """[ReLU, separable, BN] twice and a max pool, beside a strided 1×1 convolution.

    Shapes: (N, c_in, H, W) → (N, c_out, ⌈H/2⌉, ⌈W/2⌉).
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            SeparableConv2d(c_in, c_out, bias=True),
            nn.BatchNorm2d(c_out, eps=KERAS_BN_EPS),
            nn.ReLU(),
            SeparableConv2d(c_out, c_out, bias=True),
            nn.BatchNorm2d(c_out, eps=KERAS_BN_EPS),
            MaxPoolSame(),
        )
        self.shortcut = nn.Conv2d(c_in, c_out, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


class MiniXception(nn.Module):
    """Stem, one residual block per width, a 1024-wide separable convolution and a linear head.

    Input (N, 3, H, W), made for 256×256; output logits (N, num_classes). 167,268 parameters for widths (128,)
    and 435,812 for (128, 256) with four classes. Convolutions keep their biases although a BatchNorm follows,
    as in the Keras original; conversion folds them away. ``multiplier`` narrows all layers alike (Howard et al., arXiv
    1704.04861, section 3.3). ``keras_padding`` gives the first layer Keras's padding, below and on the right of an even
    image; else it is the same on all sides.
    """

    input_size = 256

    def __init__(
        self,
        widths: Sequence[int] = (128, 256),
        num_classes: int = 4,
        dropout: float = 0.3,
        *,
        multiplier: float = 1.0,
        keras_padding: bool = False,
    ) -> None:
        super().__init__()
        *channels, last = (round(multiplier * width) for width in (32, *widths, 1024))
        stem = channels[0]
        first = (
            Conv2dSame(3, stem, 3, stride=2) if keras_padding else nn.Conv2d(3, stem, 3, stride=2, padding=1)
        )
        self.stem = nn.Sequential(first, nn.BatchNorm2d(stem, eps=KERAS_BN_EPS), nn.ReLU())
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in itertools.pairwise(channels)))
        self.exit = nn.Sequential(
            SeparableConv2d(channels[-1], last, bias=True), nn.BatchNorm2d(last, eps=KERAS_BN_EPS), nn.ReLU()
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(last, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.exit(self.blocks(self.stem(x)))
        out: Tensor = self.head(self.dropout(global_average_pool(x)))
        return out
