"""ATen operations of public networks: constants of the input's size, windows of depth, unfolding, unpooling."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.converters.importing import assert_converts
from tests.converters.torch.test_import_ops import Call

IMAGE = (4, 8, 6)
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "zeros_like": lambda x: x + torch.zeros_like(x),
    "ones_like": lambda x: torch.cat([x, torch.ones_like(x)], 1),
    "full_like": lambda x: torch.cat([x, torch.full_like(x, 2.5)], 1),
    "new_zeros": lambda x: torch.cat([x, x.new_zeros(x.shape[0], 2, *x.shape[2:])], 1),
    "new_ones": lambda x: torch.cat([x, x.new_ones(x.shape[0], 2, *x.shape[2:])], 1),
    "new_full": lambda x: torch.cat([x, x.new_full((x.shape[0], 2, *x.shape[2:]), -1.5)], 1),
    "zeros": lambda x: torch.cat([x, torch.zeros(x.shape[0], 2, *x.shape[2:])], 1),
    "full without a batch": lambda x: x * torch.full((4, 1, 1), 1.5),
    "addcmul": lambda x: torch.addcmul(x, x, x.flip(3), value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x, x, x.abs() + 1),
    "fmod": lambda x: torch.fmod(x, 0.7),
    "fmod of tensors": lambda x: torch.fmod(x, x.flip(3).abs() + 0.5),
    "remainder": lambda x: torch.remainder(x, -0.7),
    "einsum": lambda x: torch.einsum("bchw,bdhw->bcd", x, x),
    "einsum with a constant": lambda x: torch.einsum("bchw,dc->bdhw", x, torch.arange(12.0).view(3, 4)),
    "unfold": lambda x: F.unfold(x, (3, 2), dilation=(2, 1), padding=(1, 2), stride=(2, 1)),
    "fold": lambda x: F.fold(F.unfold(x, 3, padding=1), (8, 6), 3, padding=1),
    "fold without overlap": lambda x: F.fold(F.unfold(x, 2, stride=2), (8, 6), 2, stride=2),
    "windows along an axis": lambda x: x.unfold(2, 4, 2),
    "slice_scatter": lambda x: torch.slice_scatter(x, x[:, :2] * 2, 1, 1, 3),
    "slice_scatter with steps": lambda x: torch.slice_scatter(x, x[:, :, ::2] * 2, 2, 0, 8, 2),
    "select_scatter": lambda x: torch.select_scatter(x, x[:, 0] * 2, 1, -1),
    "unpooling": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "unpooling, overlapping": lambda x: F.max_unpool2d(
        *F.max_pool2d(x, 3, 2, 1, return_indices=True), 3, 2, 1, output_size=(8, 6)
    ),
    "places of a pooling": lambda x: F.max_pool2d(x, 2, return_indices=True)[1].float(),
    "minus infinity": lambda x: torch.maximum(x, torch.tensor(-torch.inf)),
    "masked": lambda x: torch.softmax(x + torch.full((6, 6), -torch.inf).triu(1)[:1], -1),
    "filled with infinity": lambda x: torch.softmax(torch.where(x >= x.mean(3, True), x, -torch.inf), 3),
    "padded with infinity": lambda x: F.pad(x, (1, 2, 0, 1), value=torch.inf).clamp(max=3.0),
    "type_as": lambda x: (x > 0).type_as(x) + x,
    "type_as integers": lambda x: x + (3 * x).type_as(torch.ones(1, dtype=torch.int64)),
    "type_as truth": lambda x: x + (x.relu().type_as(torch.ones(1, dtype=torch.bool))),
    "divided by infinity": lambda x: x / torch.tensor([torch.inf, 2.0, 1.0, 1.0]).view(4, 1, 1),
}


def _swapped(x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    y[:, ::2], y[:, 1::2] = x[:, 1::2], x[:, ::2]
    return y


def _doubled(x: Tensor) -> Tensor:
    y = torch.empty(x.shape[0], 8, *x.shape[2:])
    y[:, :4], y[:, 4:] = x, 2 * x
    return y


FUNCTIONS |= {
    "room that is filled": _swapped,
    "new room that is filled": _doubled,
    "room filled with a number": lambda x: x + torch.empty_like(x).fill_(2.5),
    "overwritten by a number": lambda x: x.flip(1) + x.clone().fill_(2.5),
    "overwritten by a constant": lambda x: x.flip(1) + x.clone().fill_(torch.tensor(2.5)),
    "rrelu": lambda x: F.rrelu(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    assert_converts(Call(FUNCTIONS[name]), IMAGE)


def _statistics(norm: nn.modules.batchnorm._BatchNorm) -> nn.Module:
    norm.running_mean.normal_()  # type: ignore[union-attr]
    norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return norm


VOLUMES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "convolution of depth 1": (nn.Conv3d(4, 6, (1, 3, 3), padding=(0, 1, 1)), (4, 1, 8, 6)),
    "convolution": (nn.Conv3d(4, 6, 3, (2, 1, 2), (1, 0, 1), (1, 2, 1), groups=2), (4, 5, 8, 6)),
    "largest": (nn.MaxPool3d((2, 3, 3), (1, 2, 2), 1), (4, 5, 8, 6)),
    "largest, more windows": (nn.MaxPool3d(2, 3, ceil_mode=True), (4, 5, 8, 6)),
    "largest of each, over channels": (nn.MaxPool3d((1, 3, 3), 1), (4, 8, 6)),
    "largest, every second channel": (nn.MaxPool3d((1, 3, 3), (2, 1, 2)), (5, 8, 6)),
    "normalised": (_statistics(nn.BatchNorm3d(4)), (4, 5, 8, 6)),
    "normalised along a line": (_statistics(nn.BatchNorm1d(4)), (4, 6)),
    "mean": (nn.AvgPool3d(3, 2, 1), (4, 5, 8, 6)),
    "mean of data alone": (nn.AvgPool3d(3, 2, 1, count_include_pad=False), (4, 5, 8, 6)),
    "mean with a divisor": (nn.AvgPool3d(2, divisor_override=5), (4, 4, 8, 6)),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_volume(name: str) -> None:
    module, shape = VOLUMES[name]
    assert_converts(module, shape)
