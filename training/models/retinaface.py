"""RetinaFace: the face detector that SNIP prunes (Deng et al. 2020, "RetinaFace: Single-Shot Multi-Level Face …").

The pieces a pruning pattern can name: ``backbone.*``, ``fpn.*``, ``ssh.*``, ``class_heads.*``, ``box_heads.*`` and
``landmark_heads.*``; within SSH the context branches are ``ssh.*.context.*``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsenet.errors import InputError
from training.models.layers import initialise, scale_variance
from training.models.resnet import ResNetTrunk

ANCHORS = 2
BOX, CLASSES, LANDMARKS = 4, 2, 10
# Where the published ResNet-50 and MobileNet-0.25 detectors keep what is here: old part of a name → new part.
PUBLISHED_NAMES = {
    "body.stage1.": "backbone.stages.0.",
    "body.stage2.": "backbone.stages.1.",
    "body.stage3.": "backbone.stages.2.",
    "body.": "backbone.",
    "fpn.output1.": "fpn.laterals.0.",
    "fpn.output2.": "fpn.laterals.1.",
    "fpn.output3.": "fpn.laterals.2.",
    "fpn.merge1.": "fpn.merges.0.",
    "fpn.merge2.": "fpn.merges.1.",
    "ssh1.": "ssh.0.",
    "ssh2.": "ssh.1.",
    "ssh3.": "ssh.2.",
    ".conv3X3.": ".conv3x3.",
    ".conv5X5_1.": ".context.shared.",
    ".conv5X5_2.": ".context.conv5x5.",
    ".conv7X7_2.": ".context.conv7x7.0.",
    ".conv7x7_3.": ".context.conv7x7.1.",
    "ClassHead.": "class_heads.",
    "BboxHead.": "box_heads.",
    "LandmarkHead.": "landmark_heads.",
    ".conv1x1.": ".",
}
#: RGB values in [0, 1] as those detectors want them; they were trained on BGR values 0 to 255, less (104, 117, 123).
PUBLISHED_MEAN = (123 / 255, 117 / 255, 104 / 255)
PUBLISHED_STD = (1 / 255, 1 / 255, 1 / 255)


def _activation(channels: int) -> nn.Module:
    """Narrow detectors leak a little, wide ones do not: as the published weights were trained."""
    return nn.LeakyReLU(0.1) if channels <= 64 else nn.ReLU()


def _conv_bn(c_in: int, c_out: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
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
        stem = nn.Sequential(*_conv_bn(3, 8, 3, 2), nn.LeakyReLU(0.1))
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
                *_conv_bn(c_in, c_in, 3, stride, groups=c_in),
                nn.LeakyReLU(0.1),
                *_conv_bn(c_in, c_out, 1),
                nn.LeakyReLU(0.1),
            )
            for c_in, c_out, stride in layers
        ]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c3 = self.stages[0](x)
        c4 = self.stages[1](c3)
        return c3, c4, self.stages[2](c4)


class FeaturePyramid(nn.Module):
    """1×1 laterals, nearest upsampling and addition from coarse to fine, a 3×3 convolution on the finer two levels.

    Lin et al. 2017, "Feature Pyramid Networks for Object Detection", section 3. Maps in and out from fine to coarse;
    every map comes out with ``channels`` channels and its side unchanged.
    """

    def __init__(self, c_in: Sequence[int], channels: int) -> None:
        super().__init__()

        def block(c: int, kernel_size: int) -> nn.Module:
            return nn.Sequential(*_conv_bn(c, channels, kernel_size), _activation(channels))

        self.laterals = nn.ModuleList(block(c, 1) for c in c_in)
        self.merges = nn.ModuleList(block(channels, 3) for _ in c_in[:-1])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        out = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for i in reversed(range(len(self.merges))):
            coarse = F.interpolate(out[i + 1], size=out[i].shape[-2:], mode="nearest")
            out[i] = self.merges[i](out[i] + coarse)
        return out


class ContextBranches(nn.Module):
    """The 5×5 and 7×7 windows of SSH, made of two and three 3×3 convolutions, the first of them shared."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.shared = nn.Sequential(*_conv_bn(channels, quarter, 3), _activation(channels))
        self.conv5x5 = _conv_bn(quarter, quarter, 3)
        self.conv7x7 = nn.Sequential(
            nn.Sequential(*_conv_bn(quarter, quarter, 3), _activation(channels)),
            _conv_bn(quarter, quarter, 3),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shared = self.shared(x)
        return self.conv5x5(shared), self.conv7x7(shared)


class ContextModule(nn.Module):
    """SSH's context module: windows of 3×3, 5×5 and 7×7 side by side, keeping (N, channels, H, W).

    Najibi et al. 2017, "SSH: Single Stage Headless Face Detector", section 3.3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3x3 = _conv_bn(channels, channels // 2, 3)
        self.context = ContextBranches(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(torch.cat([self.conv3x3(x), *self.context(x)], dim=1))


class RetinaFace(nn.Module):
    """Backbone, feature pyramid, one context module per level, and 1×1 heads for boxes, classes and landmarks.

    Input (N, 3, H, W), made for 640×640. Output ``(boxes, classes, landmarks)`` of shapes (N, P, 4), (N, P, 2) and
    (N, P, 10) for the P priors: strides 8, 16 and 32 in this order, rows, columns, then the two anchors of a cell.
    Classes are logits of (background, face); boxes and landmarks are offsets from the priors.

    With ``backbone="resnet50"`` (256 channels per level) FPN and SSH hold 3,756,032 convolution weights, 774,144 of
    them in context branches. ``"mobilenet0.25"`` has 64 channels per level.

    The layers behind the backbone start from w = randn / √fan_in, the variance scaling that SNIP asks for (Lee et al.
    2019, "SNIP: Single-shot Network Pruning based on Connection Sensitivity", section 4.2).

    Raises:
        InputError: for an unknown backbone.
    """

    input_size = 640

    def __init__(self, backbone: str = "resnet50") -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise InputError(f"unknown backbone '{backbone}': choose one of {', '.join(BACKBONES)}")
        trunk, channels = BACKBONES[backbone]
        self.backbone = trunk()
        self.fpn = FeaturePyramid(trunk.channels, channels)
        self.ssh = nn.ModuleList(ContextModule(channels) for _ in trunk.channels)
        self.box_heads = self._heads(channels, BOX)
        self.class_heads = self._heads(channels, CLASSES)
        self.landmark_heads = self._heads(channels, LANDMARKS)
        initialise(self.backbone)
        for part in (self.fpn, self.ssh, self.box_heads, self.class_heads, self.landmark_heads):
            scale_variance(part)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = [ssh(x) for ssh, x in zip(self.ssh, self.fpn(self.backbone(x)), strict=True)]
        return (
            _predictions(self.box_heads, levels, BOX),
            _predictions(self.class_heads, levels, CLASSES),
            _predictions(self.landmark_heads, levels, LANDMARKS),
        )

    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Take over weights of the widely published PyTorch detectors, whose layers have other names.

        Those look at blue, green, red; here the first layer's channels change places, so that this model takes RGB,
        normalised with ``PUBLISHED_MEAN`` and ``PUBLISHED_STD``.

        Raises:
            InputError: the weights belong to another backbone or another network.
        """
        renamed = {}
        for name, value in state.items():
            new = name.removeprefix("module.")
            for old_part, new_part in PUBLISHED_NAMES.items():
                new = new.replace(old_part, new_part)
            renamed[new] = value
        own = self.state_dict()
        wrong = [n for n in own if n not in renamed or renamed[n].shape != own[n].shape]
        wrong += [n for n in renamed if n not in own]
        if wrong:
            raise InputError(
                f"these weights do not fit this RetinaFace: '{wrong[0]}' is missing, extra or of another size"
            )
        first = next(name for name in own if name.startswith("backbone.") and own[name].ndim == 4)
        self.load_state_dict(renamed | {first: renamed[first].flip(1)})

    @staticmethod
    def _heads(channels: int, values: int) -> nn.ModuleList:
        return nn.ModuleList(nn.Conv2d(channels, ANCHORS * values, 1) for _ in range(3))


def _predictions(heads: nn.ModuleList, levels: Sequence[Tensor], values: int) -> Tensor:
    """Every level's head, channels last and one row per prior: (N, P, values)."""
    rows = [
        head(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)
        for head, x in zip(heads, levels, strict=True)
    ]
    return torch.cat(rows, dim=1)


BACKBONES: dict[str, tuple[type[ResNetTrunk] | type[MobileNetTrunk], int]] = {
    "resnet50": (ResNetTrunk, 256),
    "mobilenet0.25": (MobileNetTrunk, 64),
}
