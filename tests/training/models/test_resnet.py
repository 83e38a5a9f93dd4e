"""ResNet-50: its size is the published one, its strides are v1.5's. The engine runs it with the rest of the zoo."""

from __future__ import annotations

import pytest
import torch

from training.models import build_model, count_parameters
from training.models.resnet import Bottleneck, ResNetTrunk


@pytest.mark.parametrize("classes, expected", [(1000, 25_557_032), (4, 23_516_228)])
def test_parameter_count(classes: int, expected: int) -> None:
    assert count_parameters(build_model("resnet50", classes)) == expected


def test_published_names() -> None:
    """Names as in the widely published weights, 320 tensors with the BatchNorm counters."""
    names = build_model("resnet50", 1000).state_dict()
    assert len(names) == 320
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.downsample.0.weight",
        "layer4.2.bn3.bias",
        "fc.bias",
    } <= set(names)


def test_the_stride_is_in_the_3x3_convolution() -> None:
    blocks = [m for m in ResNetTrunk().modules() if isinstance(m, Bottleneck)]
    assert len(blocks) == 16
    assert [b.conv2.stride[0] for b in blocks if b.conv2.stride != (1, 1)] == [2, 2, 2]
    assert all(b.conv1.stride == b.conv3.stride == (1, 1) for b in blocks)


@pytest.mark.parametrize("side", [64, 75])
def test_trunk_maps(side: int) -> None:
    maps = ResNetTrunk().eval()(torch.zeros(1, 3, side, side))
    sides = [-(-side // stride) for stride in (8, 16, 32)]
    assert [tuple(m.shape) for m in maps] == [
        (1, c, s, s) for c, s in zip((512, 1024, 2048), sides, strict=True)
    ]
