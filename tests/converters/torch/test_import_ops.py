"""Every operation the PyTorch importer knows, against PyTorch, through the reference backend."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.converters.importing import assert_converts


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> object:
        return self.function(*inputs)


IMAGE = (4, 7, 9)

CONVOLUTIONS = {
    "3x3": nn.Conv2d(4, 6, 3),
    "no bias": nn.Conv2d(4, 6, 3, bias=False),
    "1x1": nn.Conv2d(4, 5, 1),
    "stride 2, padding 1": nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "unequal everything": nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(0, 2), dilation=(1, 3)),
    "dilation": nn.Conv2d(4, 6, 3, padding=2, dilation=2),
    "groups": nn.Conv2d(4, 6, 3, groups=2, padding=1),
    "depthwise": nn.Conv2d(4, 4, 3, groups=4),
    "depthwise, multiplier 2": nn.Conv2d(4, 8, 3, groups=4),
    "padding same": nn.Conv2d(4, 6, 3, padding="same"),
    "padding same, even kernel": nn.Conv2d(4, 6, (4, 2), padding="same"),
    "padding same, dilation": nn.Conv2d(4, 6, (2, 3), padding="same", dilation=(3, 2)),
    "padding valid": nn.Conv2d(4, 6, 3, padding="valid"),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str) -> None:
    assert_converts(CONVOLUTIONS[name], IMAGE)


ACTIVATIONS = {
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
    "hardtanh": nn.Hardtanh(-0.5, 0.7),
    "leaky_relu": nn.LeakyReLU(0.3),
    "silu": nn.SiLU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "hardswish": nn.Hardswish(),
    "hardsigmoid": nn.Hardsigmoid(),
    "prelu, one slope": nn.PReLU(),
    "clamp": Call(lambda x: x.clamp(-0.3, 0.4)),
    "clamp from 0": Call(lambda x: x.clamp(min=0)),
    "clamp from below": Call(lambda x: x.clamp(min=-0.2)),
    "clamp from above": Call(lambda x: torch.clamp_max(x, 0.5)),
    "clamp to infinity": Call(lambda x: x.clamp(-0.25, float("inf"))),
    "softmax of channels": nn.Softmax(1),
    "softmax of the last axis": nn.Softmax(-1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    assert_converts(ACTIVATIONS[name], IMAGE)


POOLING = {
    "max": nn.MaxPool2d(2),
    "max, overlapping": nn.MaxPool2d(3, 2, 1),
    "max, ceil": nn.MaxPool2d(2, ceil_mode=True),
    "max, ceil, padding": nn.MaxPool2d(3, 3, 1, ceil_mode=True),
    "max, dilation": nn.MaxPool2d((2, 3), 1, dilation=(3, 2)),
    "avg": nn.AvgPool2d(2),
    "avg, ceil": nn.AvgPool2d(3, 2, ceil_mode=True),
    "avg, ceil, padding counted": nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    "avg, ceil, padding not counted": nn.AvgPool2d(
        (2, 3), 2, (1, 1), ceil_mode=True, count_include_pad=False
    ),
    "avg, padding not counted": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    "adaptive avg to one": nn.AdaptiveAvgPool2d(1),
    "adaptive max to one": nn.AdaptiveMaxPool2d(1),
    "adaptive avg, same size": nn.AdaptiveAvgPool2d((7, None)),
    "mean over H and W": Call(lambda x: x.mean((2, 3))),
    "mean over the last two, kept": Call(lambda x: x.mean((-1, -2), keepdim=True)),
    "max over H and W": Call(lambda x: x.amax((2, 3))),
    "padding with -inf": Call(lambda x: F.max_pool2d(F.pad(x, (0, 1, 1, 1), value=-torch.inf), 3, 2)),
    "padding with -inf, ceil": Call(
        lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2, ceil_mode=True)
    ),
    "padding with 0, as MaxPool does not": Call(lambda x: F.max_pool2d(F.pad(x - 5, (0, 1, 0, 1)), 2)),
}


@pytest.mark.parametrize("name", POOLING)
def test_pooling(name: str) -> None:
    assert_converts(POOLING[name], IMAGE)


def test_adaptive_pooling_to_a_divisor() -> None:
    assert_converts(nn.Sequential(nn.AdaptiveAvgPool2d((2, 3)), nn.AdaptiveMaxPool2d((2, 1))), (4, 6, 9))


SHAPES = {
    "flatten": nn.Flatten(),
    "flatten of the end": Call(lambda x: torch.flatten(x, 2)),
    "flatten of the middle": Call(lambda x: torch.flatten(x, 1, 2)),
    "view with the batch": Call(lambda x: x.view(x.shape[0], -1)),
    "view with -1 for the batch": Call(lambda x: x.view(-1, 4 * 63)),
    "view with computed sizes": Call(lambda x: x.reshape(x.size(0), x.size(1) // 2, 2 * x.size(2), -1)),
    "permute and view": Call(lambda x: x.permute(0, 2, 3, 1).contiguous().view(x.size(0), -1, 2)),
    "transpose": Call(lambda x: x.transpose(1, -1)),
    "unsqueeze, squeeze": Call(lambda x: (x.unsqueeze(1) * 2).squeeze(1).unsqueeze(-1)),
    "squeeze of pooled": Call(lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)),
    "unflatten": nn.Unflatten(1, (2, 2)),
    "pad": Call(lambda x: F.pad(x, (1, 2, 3, 0))),
    "pad, value": Call(lambda x: F.pad(x, (1, 0), value=0.5)),
    "pad by nothing": Call(lambda x: F.pad(x, (0, 0, 0, 0)) + 1),
    "ZeroPad2d, conv": nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(4, 3, 3, 2)),
    "concat": Call(lambda x: torch.cat([x, x * 2, x], 1)),
    "concat, negative axis": Call(lambda x: torch.cat([x, x + 1], -1)),
    "concat of one": Call(lambda x: torch.cat([x]) * 3),
    "chunk": Call(lambda x: operator.sub(*torch.chunk(x, 2, 1))),
    "split, unequal": Call(lambda x: torch.cat(torch.split(x, [1, 3], 1)[::-1], 1)),
    "split with a rest": Call(lambda x: torch.split(x, 3, 1)[1]),
    "slice of channels": Call(lambda x: x[:, 1:3]),
    "slice of flat features": Call(lambda x: x.flatten(1)[:, :-10]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str) -> None:
    assert_converts(SHAPES[name], IMAGE)


RESIZING = {
    "nearest, twice": nn.Upsample(scale_factor=2),
    "nearest, size": nn.Upsample(size=(11, 5)),
    "nearest-exact, three times": nn.Upsample(scale_factor=3, mode="nearest-exact"),
    "bilinear": nn.Upsample(size=(13, 20), mode="bilinear"),
    "bilinear, smaller": nn.Upsample(size=(3, 4), mode="bilinear"),
    "bilinear, corners": nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    "bilinear, corners, fraction": nn.Upsample(scale_factor=1.7, mode="bilinear", align_corners=True),
}


@pytest.mark.parametrize("name", RESIZING)
def test_resize(name: str) -> None:
    assert_converts(RESIZING[name], IMAGE)


MEAN = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 4, 1, 1)

ARITHMETIC = {
    "add a number": Call(lambda x: x + 2),
    "alpha": Call(lambda x: torch.add(x, x * x, alpha=0.3)),
    "alpha, number": Call(lambda x: torch.sub(x, 3.0, alpha=2)),
    "subtract from a number": Call(lambda x: 1 - x),
    "subtract from a tensor": Call(lambda x: MEAN - x),
    "normalise": Call(lambda x: (x - MEAN) / 0.25),
    "divide by a tensor": Call(lambda x: x / (MEAN + 1)),
    "negate": Call(lambda x: -x),
    "product": Call(lambda x: x * x),
    "attention": Call(lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True))),
    "in place": Call(lambda x: (x + 0).mul_(2).add_(1).relu_()),
    "doubled as float": Call(lambda x: x.float() * 2),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(name: str) -> None:
    assert_converts(ARITHMETIC[name], IMAGE)


class Matrix(nn.Module):
    """Linear layers in the ways people write them."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.weight = nn.Parameter(torch.randn(5, 8))
        self.bias = nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        match self.form:
            case "addmm":
                return torch.addmm(self.bias, x, self.weight.t())
            case "addmm, scaled":
                return torch.addmm(self.bias, x, self.weight.t(), beta=0.5, alpha=2)
            case "matmul":
                return x @ self.weight.t()
            case "matmul plus bias":
                return torch.matmul(x, self.weight.T) + self.bias
        return F.linear(x, self.weight)


@pytest.mark.parametrize("form", ["addmm", "addmm, scaled", "matmul", "matmul plus bias", "linear"])
def test_matrix(form: str) -> None:
    assert_converts(Matrix(form), (8,))


NORMALISATION = {
    "batch norm": nn.BatchNorm2d(4),
    "batch norm, eps": nn.BatchNorm2d(4, eps=0.01),
    "batch norm, not affine": nn.BatchNorm2d(4, affine=False),
    "batch norm of features": nn.Sequential(nn.Flatten(), nn.Linear(252, 3), nn.BatchNorm1d(3)),
    "conv, batch norm, relu": nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(True)),
    "conv, relu, batch norm": nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(6)),
    "batch norm, padded conv": nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1)),
    "dropout": nn.Sequential(nn.Dropout(0.9), nn.Conv2d(4, 6, 3), nn.Dropout2d(0.9)),
}


@pytest.mark.parametrize("name", NORMALISATION)
def test_normalisation(name: str) -> None:
    assert_converts(NORMALISATION[name], IMAGE)
