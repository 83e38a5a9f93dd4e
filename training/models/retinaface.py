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
from training.models.face_detector import FaceDetector
from training.models.layers import initialise, scale_variance
from training.models.narrow_mobilenet import MobileNetTrunk, activation, conv_bn
from training.models.resnet import ResNetTrunk

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


class FeaturePyramid(nn.Module):
    """1×1 laterals, nearest upsampling and addition from coarse to fine, a 3×3 convolution on the finer two levels.

    Lin et al. 2017, "Feature Pyramid Networks for Object Detection", section 3. Maps in and out from fine to coarse;
    every map comes out with ``channels`` channels and its side unchanged.
    """

    def __init__(self, c_in: Sequence[int], channels: int) -> None:
        super().__init__()

        def block(c: int, kernel_size: int) -> nn.Module:
            return nn.Sequential(*conv_bn(c, channels, kernel_size), activation(channels))

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
        self.shared = nn.Sequential(*conv_bn(channels, quarter, 3), activation(channels))
        self.conv5x5 = conv_bn(quarter, quarter, 3)
        self.conv7x7 = nn.Sequential(
            nn.Sequential(*conv_bn(quarter, quarter, 3), activation(channels)),
            conv_bn(quarter, quarter, 3),
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
        self.conv3x3 = conv_bn(channels, channels // 2, 3)
        self.context = ContextBranches(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(torch.cat([self.conv3x3(x), *self.context(x)], dim=1))


class RetinaFace(FaceDetector):
    """Backbone, feature pyramid, one context module per level, and 1×1 heads for boxes, classes and landmarks.

    Input (N, 3, H, W), made for 640×640; outputs as of ``FaceDetector``.

    With ``backbone="resnet50"`` (256 channels per level) FPN and SSH hold 3,756,032 convolution weights, 774,144 of
    them in context branches. ``"mobilenet0.25"`` has 64 channels per level.

    The layers behind the backbone start from w = randn / √fan_in, the variance scaling that SNIP asks for (Lee et al.
    2019, "SNIP: Single-shot Network Pruning based on Connection Sensitivity", section 4.2).

    Raises:
        InputError: for an unknown backbone.
    """

    def __init__(self, backbone: str = "resnet50") -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise InputError(f"unknown backbone '{backbone}': choose one of {', '.join(BACKBONES)}")
        trunk, channels = BACKBONES[backbone]
        self.backbone = trunk()
        self.fpn = FeaturePyramid(trunk.channels, channels)
        self.ssh = nn.ModuleList(ContextModule(channels) for _ in trunk.channels)
        self._add_heads([channels] * len(trunk.channels), 1)
        initialise(self.backbone)
        for part in (self.fpn, self.ssh):
            scale_variance(part)
        self._scale_heads()

    def levels(self, x: Tensor) -> list[Tensor]:
        """The context modules' maps."""
        return [ssh(x) for ssh, x in zip(self.ssh, self.fpn(self.backbone(x)), strict=True)]

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


BACKBONES: dict[str, tuple[type[ResNetTrunk] | type[MobileNetTrunk], int]] = {
    "resnet50": (ResNetTrunk, 256),
    "mobilenet0.25": (MobileNetTrunk, 64),
}
