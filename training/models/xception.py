"""Xception at full size (Chollet 2017, "Xception: Deep Learning with Depthwise Separable Convolutions", fig. 5)."""

from __future__ import annotations

from torch import Tensor, nn

from training.models.layers import KERAS_BN_EPS, MaxPoolSame, SeparableConv2d, global_average_pool, initialise


def _separable(c_in: int, c_out: int) -> list[nn.Module]:
    return [SeparableConv2d(c_in, c_out), nn.BatchNorm2d(c_out, eps=KERAS_BN_EPS)]


class DownBlock(nn.Module):
    """Two separable convolutions and a 'same' max pool, beside a strided 1×1 convolution with BN.

    Shapes: (N, c_in, H, W) → (N, c_out, ⌈H/2⌉, ⌈W/2⌉). ``c_middle`` is the width between the two.
    """

    def __init__(self, c_in: int, c_middle: int, c_out: int, *, relu_first: bool = True) -> None:
        super().__init__()
        first: list[nn.Module] = [nn.ReLU()] if relu_first else []
        self.body = nn.Sequential(
            *first, *_separable(c_in, c_middle), nn.ReLU(), *_separable(c_middle, c_out), MaxPoolSame()
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(c_in, c_out, 1, stride=2, bias=False), nn.BatchNorm2d(c_out, eps=KERAS_BN_EPS)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


class MiddleBlock(nn.Module):
    """[ReLU, separable, BN] three times, added to the input; keeps the shape (N, channels, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(3):
            layers += [nn.ReLU(), *_separable(channels, channels)]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class Xception(nn.Module):
    """Entry flow, eight middle blocks, exit flow, linear head.

    Input (N, 3, H, W) with H, W ≥ 71, made for 299×299; output logits (N, num_classes). With four classes
    20,815,148 parameters, and 20,869,676 numbers in the fp32 weights when BN statistics count.
    """

    input_size = 299

    def __init__(self, num_classes: int = 4, dropout: float = 0.5) -> None:
        super().__init__()
        self.entry = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, bias=False),
            nn.BatchNorm2d(32, eps=KERAS_BN_EPS),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, bias=False),
            nn.BatchNorm2d(64, eps=KERAS_BN_EPS),
            nn.ReLU(),
            DownBlock(64, 128, 128, relu_first=False),
            DownBlock(128, 256, 256),
            DownBlock(256, 728, 728),
        )
        self.middle = nn.Sequential(*(MiddleBlock(728) for _ in range(8)))
        self.exit = nn.Sequential(
            DownBlock(728, 728, 1024), *_separable(1024, 1536), nn.ReLU(), *_separable(1536, 2048), nn.ReLU()
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2048, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.exit(self.middle(self.entry(x)))
        out: Tensor = self.head(self.dropout(global_average_pool(x)))
        return out
