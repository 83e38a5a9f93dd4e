"""ATen operations beyond the usual layers, against PyTorch, through the reference backend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.converters.importing import assert_converts
from tests.converters.torch.test_import_ops import Call

IMAGE = (4, 7, 9)


def positive(function: Callable[[Tensor], Tensor]) -> Call:
    """A function of numbers well above 0."""
    return Call(lambda x: function(x.abs() + 0.2))


def queries(x: Tensor) -> Tensor:
    """How detectors without suppression end: the best (place, class) pairs, their boxes picked by index."""
    scores = x.flatten(2).transpose(1, 2)
    best, pair = scores.flatten(1).topk(9, 1)
    place, label = pair // scores.shape[2], pair % scores.shape[2]
    boxes = (scores * 2 + 1).gather(1, place[..., None].repeat(1, 1, scores.shape[2]))
    return torch.cat([boxes, best[..., None], label[..., None].float()], 2)


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "transposed convolution": (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), IMAGE),
    "transposed, unequal everything": (
        nn.ConvTranspose2d(4, 6, (2, 3), (3, 2), (0, 2), (2, 1), groups=2, dilation=(2, 1)),
        IMAGE,
    ),
    "transposed, output beyond the kernel's reach": (nn.ConvTranspose2d(4, 3, 1, 3, 0, 2), IMAGE),
    "convolution of sequences": (nn.Conv1d(4, 6, 3, 2, 1, groups=2), (4, 11)),
    "convolution of sequences, same": (nn.Conv1d(4, 6, 4, padding="same"), (4, 11)),
    "transposed convolution of sequences": (nn.ConvTranspose1d(4, 6, 4, 2, 1), (4, 11)),
    "pooling of sequences": (nn.Sequential(nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(2)), (4, 13)),
    "adaptive pooling of sequences": (nn.AdaptiveAvgPool1d(3), (4, 11)),
    "adaptive average, windows of different size": (nn.AdaptiveAvgPool2d((3, 4)), IMAGE),
    "average with a divisor": (nn.AvgPool2d(2, 1, 1, divisor_override=3), IMAGE),
    "layer norm": (nn.LayerNorm((7, 9)), IMAGE),
    "layer norm without scale": (nn.LayerNorm(9, elementwise_affine=False), IMAGE),
    "group norm": (nn.GroupNorm(2, 4), IMAGE),
    "instance norm": (nn.InstanceNorm2d(4, affine=True), IMAGE),
    "instance norm with running statistics": (nn.InstanceNorm2d(4, track_running_stats=True), IMAGE),
    "local response": (nn.LocalResponseNorm(3, 0.1), IMAGE),
    "linear over the last axis": (nn.Linear(9, 5), IMAGE),
    "linear over sequences": (nn.Linear(9, 5), (4, 9)),
    "linear over many axes": (nn.Linear(9, 5), (2, 3, 4, 9)),
    "slopes per channel": (nn.PReLU(4, 0.1), IMAGE),
    "channel shuffle": (nn.ChannelShuffle(2), IMAGE),
    "pixel shuffle": (nn.PixelShuffle(2), IMAGE),
    "pixel unshuffle": (nn.PixelUnshuffle(3), (2, 6, 9)),
    "reflected": (nn.ReflectionPad2d((1, 2, 3, 0)), IMAGE),
    "replicated": (nn.ReplicationPad2d(2), IMAGE),
    "circular": (nn.CircularPad2d((1, 0, 2, 1)), IMAGE),
    "padded sequence": (nn.ReflectionPad1d(2), (4, 9)),
    "log softmax": (nn.LogSoftmax(1), IMAGE),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    module, shape = LAYERS[name]
    assert_converts(module, shape)


FUNCTIONS: dict[str, nn.Module] = {
    "elu": nn.ELU(0.5),
    "selu": nn.SELU(),
    "celu": nn.CELU(0.7),
    "gelu": nn.GELU(),
    "gelu, tanh": nn.GELU("tanh"),
    "mish": nn.Mish(),
    "softplus": nn.Softplus(),
    "softplus, beta": nn.Softplus(2.0),
    "erf, exp, floor": Call(lambda x: torch.erf(x) + torch.exp(x) + torch.floor(x)),
    "ceil, round, neg": Call(lambda x: torch.ceil(x) - torch.round(x * 3) - x),
    "log, sqrt, rsqrt": positive(lambda x: torch.log(x) + torch.sqrt(x) + torch.rsqrt(x)),
    "reciprocal, powers": positive(lambda x: 1 / x + x**2 + x**0.5 + x**-1 + x**1.7),
    "division": Call(lambda x: x / (x.abs() + 1) + torch.div(x, 0.3, rounding_mode="floor")),
    "division towards zero": Call(lambda x: torch.div(x, 0.3, rounding_mode="trunc")),
    "comparisons": Call(
        lambda x: torch.where(x > 0.1, x, x * 2) + torch.where(x <= -0.1, x, torch.zeros(()))
    ),
    "more comparisons": Call(lambda x: torch.where(x >= 0, x, -x) * torch.where(x < 1, x, x * 0)),
    "maximum, minimum": Call(lambda x: torch.maximum(x, x.flip(3)) + torch.minimum(x, x.roll(1, 2))),
    "clamped by tensors": Call(lambda x: torch.clamp(x, x.flip(2) - 0.5, x.flip(2) + 0.5)),
    "sum, mean": Call(lambda x: x.sum(1) + x.mean(1) + x.sum((1, 2), keepdim=True)[:, 0]),
    "amax, amin": Call(lambda x: x.amax(3) - x.amin((3,))),
    "max and where": Call(lambda x: x.max(2)[0] + x.max(2)[1] + x.min(2).values),
    "argmax": Call(lambda x: x.argmax(1).float() + x.argmin(1, keepdim=True)[:, 0].float()),
    "the largest": Call(lambda x: x.topk(3, 2)[0] + x.topk(3, 2, largest=False).indices.float()),
    "sorted": Call(lambda x: x.sort(3, descending=True).values + x.argsort(1).float()),
    "gathered": Call(lambda x: x.gather(2, x.topk(2, 2).indices) + x.gather(1, x[:, :, :2].argmax(1, True))),
    "queries": Call(queries),
    "variance": Call(lambda x: x.var(1) + x.var((2, 3), unbiased=False)[..., None][..., :1].mean(1)[:, None]),
    "norms": Call(lambda x: F.normalize(x, dim=1) + x.norm(1, 1, keepdim=True) + x.norm(2, 2, keepdim=True)),
    "matrices": Call(lambda x: x @ x.transpose(2, 3)),
    "attention": Call(lambda x: F.scaled_dot_product_attention(x, x * 0.5, x.flip(3))),
    "rows and columns": Call(lambda x: x[:, :, 1:6:2, -3:] + x[:, 0:1, 0:3, 2:5]),
    "one row": Call(lambda x: x[:, :, 3] + x.select(2, -1)),
    "unbind, stack": Call(lambda x: torch.stack(list(x.unbind(1))[::-1], 2)),
    "index": Call(lambda x: x[:, torch.tensor([2, 0, 2])] + x.index_select(1, torch.tensor([1, 1, 0]))),
    "expand, repeat": Call(lambda x: x[:, :1].expand(-1, 3, -1, -1) + x[:, 1:2].repeat(1, 3, 1, 1)),
    "padded channels": Call(lambda x: F.pad(x, (0, 0, 1, 0, 2, 1), value=0.5)),
    "cropped": Call(lambda x: F.pad(x, (-1, 2, -2, -1))),
    "concat with a constant": Call(
        lambda x: torch.cat([x, torch.ones(1, 2, 7, 9).expand(x.shape[0], -1, -1, -1)], 1)
    ),
    "truncated": Call(lambda x: (x * 3).to(torch.int32).float()),
    "bicubic": Call(lambda x: F.interpolate(x, size=(11, 5), mode="bicubic")),
    "bicubic, corners": Call(lambda x: F.interpolate(x, size=(11, 5), mode="bicubic", align_corners=True)),
    "a scale with a rest": Call(lambda x: F.interpolate(x, scale_factor=1.7)),
    "linear, a scale with a rest": Call(lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear")),
    "nearest-exact": Call(lambda x: F.interpolate(x, size=(5, 13), mode="nearest-exact")),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    assert_converts(FUNCTIONS[name], IMAGE)


def test_names_that_meet_are_told_apart() -> None:
    class Meeting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.split = nn.Sequential(nn.Conv2d(4, 4, 1))

        def forward(self, x: Tensor) -> Tensor:
            first, second = self.split(x).chunk(2, 1)
            return first - second

    graph = assert_converts(Meeting(), IMAGE)
    assert len({node.name for node in graph.nodes}) == len(graph.nodes)
    assert np.unique([node.output for node in graph.nodes]).size == len(graph.nodes)
