"""MobileNetV1 (Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks …", table 1)."""

from __future__ import annotations

from torch import Tensor, nn

from training.models.layers import global_average_pool, initialise

# (output channels at width 1, stride) of the thirteen depthwise-separable layers of table 1.
LAYERS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def _conv_bn_relu(c_in: int, c_out: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    )


class MobileNetV1(nn.Module):
    """A strided 3×3 stem, thirteen depthwise-separable layers and a linear head.

    Input (N, 3, H, W), made for 224×224; output logits (N, num_classes). ``width`` scales every channel count
    (section 3.3). 4,231,976 parameters at width 1 with 1000 classes.
    """

    input_size = 224

    def __init__(self, width: float = 1.0, num_classes: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        channels = max(8, int(32 * width))
        layers: list[nn.Module] = [_conv_bn_relu(3, channels, 3, stride=2)]
        for c_full, stride in LAYERS:
            c_out = max(8, int(c_full * width))
            layers.append(_conv_bn_relu(channels, channels, 3, stride=stride, groups=channels))
            layers.append(_conv_bn_relu(channels, c_out, 1))
            channels = c_out
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.dropout(global_average_pool(self.features(x))))
        return out
