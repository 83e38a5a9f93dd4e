"""ResNet-50 (He et al. 2016, "Deep Residual Learning for Image Recognition", table 1), stride in the 3×3 ("v1.5")."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from training.models.layers import global_average_pool, initialise

# (width of the bottleneck, number of blocks, stride of the first) of conv2_x to conv5_x.
STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]
EXPANSION = 4


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions, each with BN, added to the input (fig. 5, right).

    Shapes: (N, c_in, H, W) → (N, 4·width, ⌈H/stride⌉, ⌈W/stride⌉). The stride sits in the 3×3 convolution instead of
    the first 1×1, as in today's trained weights.
    """

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        c_out = EXPANSION * width
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class ResNetTrunk(nn.Module):
    """Everything of ResNet-50 before the pooling: (N, 3, H, W) → C3, C4, C5 with 512, 1024 and 2048 channels.

    Their sides are those of the input divided by 8, 16 and 32, rounded up.
    """

    channels = (512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        stages, c_in = [], 64
        for width, blocks, stride in STAGES:
            stages.append(
                nn.Sequential(
                    *(
                        Bottleneck(EXPANSION * width if i else c_in, width, 1 if i else stride)
                        for i in range(blocks)
                    )
                )
            )
            c_in = EXPANSION * width
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        c3 = self.layer2(self.layer1(x))
        c4 = self.layer3(c3)
        return c3, c4, self.layer4(c4)


class ResNet50(ResNetTrunk):
    """The trunk, global average pooling and a linear head.

    Input (N, 3, H, W), made for 224×224; output logits (N, num_classes). 25,557,032 parameters with 1000 classes.
    Layers carry the names of the widely published weights, so that these load with ``load_state_dict``.
    """

    input_size = 224

    def __init__(self, num_classes: int = 4) -> None:
        super().__init__()
        self.fc = nn.Linear(self.channels[-1], num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        out: Tensor = self.fc(global_average_pool(super().forward(x)[-1]))
        return out
