"""MobileNetV1 at width 0.25 as the published face detectors have it, and what their other layers share with it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def activation(channels: int) -> nn.Module:
    """Narrow detectors leak a little, wide ones do not: as the published weights were trained."""
    return nn.LeakyReLU(0.1) if channels <= 64 else nn.ReLU()


def conv_bn(c_in: int, c_out: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the side at stride 1, and a BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
    )


class MobileNetTrunk(nn.Module):
    """MobileNetV1 at width 0.25 with leaky activations: (N, 3, H, W) → maps of 64, 128 and 256 channels.

    Their sides are those of the input divided by 8, 16 and 32, rounded up.
    """

    channels = (64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(*conv_bn(3, 8, 3, 2), nn.LeakyReLU(0.1))
        self.stages = nn.ModuleList(
            [
                nn.Sequential(
                    stem, *self._layers([(8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)])
                ),
                nn.Sequential(*self._layers([(64, 128, 2), *[(128, 128, 1)] * 5])),
                nn.Sequential(*self._layers([(128, 256, 2), (256, 256, 1)])),
            ]
        )

    @staticmethod
    def _layers(layers: Sequence[tuple[int, int, int]]) -> list[nn.Module]:
        return [
            nn.Sequential(
                *conv_bn(c_in, c_in, 3, stride, groups=c_in),
                nn.LeakyReLU(0.1),
                *conv_bn(c_in, c_out, 1),
                nn.LeakyReLU(0.1),
            )
            for c_in, c_out, stride in layers
        ]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c3 = self.stages[0](x)
        c4 = self.stages[1](c3)
        return c3, c4, self.stages[2](c4)
