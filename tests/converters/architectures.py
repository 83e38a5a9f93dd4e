"""Small networks of the families people bring, each with what is peculiar to its family; random weights, NumPy-seeded.

They follow the papers named in the docstrings in structure, not in size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(
    c_in: int, c_out: int, kernel: int, act: nn.Module | None = None, **options: int
) -> nn.Sequential:
    """Convolution without bias, batch norm, activation (ReLU unless told otherwise)."""
    options.setdefault("padding", kernel // 2)
    layers = [nn.Conv2d(c_in, c_out, kernel, bias=False, **options), nn.BatchNorm2d(c_out), act or nn.ReLU()]  # type: ignore[arg-type]
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Simonyan & Zisserman 2015, with the local response normalization of its predecessor AlexNet."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.LocalResponseNorm(5, 1e-3, 0.75, 2.0), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.pool = nn.AvgPool2d(2)
        self.classifier = nn.Sequential(
            nn.Linear(32 * 9, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 10), nn.LogSoftmax(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


class Bottleneck(nn.Module):
    """1x1, 3x3 (grouped in RegNet and ResNeXt), 1x1, and a shortcut."""

    def __init__(self, c_in: int, width: int, c_out: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(c_in, width, 1),
            conv_bn(width, width, 3, stride=stride, groups=groups),
            conv_bn(width, c_out, 1, nn.Identity()),
        )
        same = c_in == c_out and stride == 1
        self.shortcut = nn.Identity() if same else conv_bn(c_in, c_out, 1, nn.Identity(), stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """He et al. 2016."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 16, 7, stride=2), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.Sequential(
            Bottleneck(16, 16, 32, 1),
            Bottleneck(32, 16, 32, 1),
            Bottleneck(32, 24, 48, 2),
            Bottleneck(48, 24, 48, 1),
        )
        self.fc = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.stages(self.stem(x)).mean((2, 3)))


class RegNet(nn.Module):
    """Radosavovic et al. 2020: grouped bottlenecks of constant group width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 16, 3, stride=2)
        self.stages = nn.Sequential(
            Bottleneck(16, 24, 24, 2, 3), Bottleneck(24, 24, 24, 1, 3), Bottleneck(24, 40, 40, 2, 5)
        )
        self.fc = nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.adaptive_avg_pool2d(self.stages(self.stem(x)), 1).flatten(1))


class DenseNet(nn.Module):
    """Huang et al. 2017: every layer reads all before it; batch norm and ReLU come first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(12 + 8 * i),
                nn.ReLU(),
                nn.Conv2d(12 + 8 * i, 16, 1, bias=False),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.Conv2d(16, 8, 3, padding=1, bias=False),
            )
            for i in range(3)
        )
        self.transition = nn.Sequential(nn.BatchNorm2d(36), nn.ReLU(), nn.Conv2d(36, 18, 1), nn.AvgPool2d(2))
        self.norm, self.fc = nn.BatchNorm2d(18), nn.Linear(18, 10)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.stem(x)]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        x = F.relu(self.norm(self.transition(torch.cat(maps, 1))))
        return self.fc(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class Inception(nn.Module):
    """Szegedy et al. 2016: branches side by side, convolutions of one row or column, pads that do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 16, 3, stride=2, padding=0)
        self.one = conv_bn(16, 8, 1)
        self.tall = nn.Sequential(
            conv_bn(16, 8, 1),
            nn.Conv2d(8, 8, (1, 7), padding=(0, 3)),
            nn.ReLU(),
            nn.Conv2d(8, 12, (7, 1), padding=(3, 0)),
            nn.ReLU(),
        )
        self.pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv_bn(16, 8, 1))
        self.down = conv_bn(28, 32, 3, stride=2, padding=0)
        self.fc = nn.Linear(32 + 28, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([self.one(x), self.tall(x), self.pooled(x)], 1)
        x = torch.cat([self.down(x), F.max_pool2d(x, 3, 2)], 1)
        return F.softmax(self.fc(x.mean((2, 3))), 1)


class Fire(nn.Module):
    """Squeeze to few channels, expand to 1x1 and 3x3."""

    def __init__(self, c_in: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(c_in, squeeze, 1)
        self.one, self.three = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


class SqueezeNet(nn.Module):
    """Iandola et al. 2016: pooling that rounds up, a convolution as classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(16, 6, 12), Fire(24, 6, 12),
            nn.MaxPool2d(3, 2, ceil_mode=True), Fire(24, 8, 16),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(32, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).flatten(1)


class SqueezeExcite(nn.Module):
    """A factor per channel (Hu et al. 2018)."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 8, 1), nn.Conv2d(8, channels, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class Inverted(nn.Module):
    """Expand, depthwise, squeeze-and-excitation, project (Sandler et al. 2018)."""

    def __init__(
        self,
        channels: int,
        wide: int,
        kernel: int,
        stride: int,
        act: Callable[[], nn.Module],
        gate: nn.Module,
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(channels, wide, 1, act()),
            conv_bn(wide, wide, kernel, act(), stride=stride, groups=wide),
            SqueezeExcite(wide, gate),
            conv_bn(wide, channels, 1, nn.Identity()),
        )
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + x if self.stride == 1 else self.body(x)


class MobileNetV3(nn.Module):
    """Howard et al. 2019: hard swish and hard sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(3, 16, 3, nn.Hardswish(), stride=2),
            Inverted(16, 32, 3, 1, nn.ReLU, nn.Hardsigmoid()),
            Inverted(16, 48, 5, 2, nn.Hardswish, nn.Hardsigmoid()),
        )
        self.head = nn.Sequential(nn.Linear(16, 32), nn.Hardswish(), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(self.body(x), 1).flatten(1))


class EfficientNet(nn.Module):
    """Tan & Le 2019: SiLU everywhere, a sigmoid gate."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(3, 12, 3, nn.SiLU(), stride=2),
            Inverted(12, 36, 3, 2, nn.SiLU, nn.Sigmoid()),
            Inverted(12, 36, 5, 1, nn.SiLU, nn.Sigmoid()),
            conv_bn(12, 40, 1, nn.SiLU()),
        )
        self.fc = nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean([2, 3]))


class ShuffleUnit(nn.Module):
    """Half of the channels pass by; then both halves are shuffled (Ma et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            conv_bn(half, half, 1), conv_bn(half, half, 3, nn.Identity(), groups=half), conv_bn(half, half, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        passing, worked = x.chunk(2, 1)
        x = torch.cat([passing, self.body(worked)], 1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class ShuffleNet(nn.Module):
    """Ma et al. 2018."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 24, 3, stride=2), nn.MaxPool2d(3, 2, 1))
        self.units = nn.Sequential(ShuffleUnit(24), ShuffleUnit(24))
        self.fc = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.units(self.stem(x)).mean((2, 3)))


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of (N, C, H, W), spelled out as ConvNeXt's authors do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(channels) + 0.5), nn.Parameter(torch.randn(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        return (
            self.weight[:, None, None] * ((x - mean) / torch.sqrt(variance + 1e-6)) + self.bias[:, None, None]
        )


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, then a perceptron with the channels last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.down(F.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Liu et al. 2022."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, 4), ChannelNorm(16))
        self.blocks = nn.Sequential(
            ConvNeXtBlock(16), ChannelNorm(16), nn.Conv2d(16, 24, 2, 2), ConvNeXtBlock(24)
        )
        self.norm, self.head = nn.LayerNorm(24), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.stem(x)).mean([-2, -1])))


class UNet(nn.Module):
    """Ronneberger et al. 2015, with transposed convolutions, instance and group norm, PReLU per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.InstanceNorm2d(8, affine=True), nn.PReLU(8)
        )
        self.down2 = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.LeakyReLU(0.1))
        self.bottom = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(16, 24, 3), nn.ELU(), nn.Conv2d(24, 24, 1), nn.Mish()
        )
        self.up2 = nn.ConvTranspose2d(24, 16, 2, stride=2)
        self.merge2 = nn.Sequential(nn.Conv2d(32, 16, 3, padding=1), nn.ReLU())
        self.up1 = nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1)
        self.merge1 = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        x = self.up2(self.bottom(F.max_pool2d(second, 2)))
        x = self.merge2(torch.cat([x, second], 1))
        return self.merge1(torch.cat([self.up1(x), first], 1)).softmax(1)


class FPNDetector(nn.Module):
    """A face detector in the manner of RetinaFace (Deng et al. 2020): pyramid, context modules, three heads."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = (
            conv_bn(3, 12, 3, stride=4),
            conv_bn(12, 20, 3, stride=2),
            conv_bn(20, 28, 3, stride=2),
        )
        self.lateral = nn.ModuleList(conv_bn(c, 16, 1, nn.LeakyReLU(0.1)) for c in (12, 20, 28))
        self.merge = nn.ModuleList(conv_bn(16, 16, 3, nn.LeakyReLU(0.1)) for _ in range(2))
        self.context = nn.ModuleList(conv_bn(16, 8, k, nn.Identity()) for k in (3, 5))
        self.heads = nn.ModuleList(nn.Conv2d(16, 2 * n, 1) for n in (2, 4, 10))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = [self.c1(x)]
        maps.append(self.c2(maps[0]))
        maps.append(self.c3(maps[1]))
        levels = [lateral(m) for lateral, m in zip(self.lateral, maps, strict=True)]
        for i in (1, 0):
            above = F.interpolate(levels[i + 1], size=levels[i].shape[2:], mode="nearest")
            levels[i] = self.merge[i](levels[i] + above)
        found: list[list[Tensor]] = [[], [], []]
        for level in levels:
            features = F.relu(torch.cat([branch(level) for branch in self.context], 1))
            for list_, head, size in zip(found, self.heads, (2, 4, 10), strict=True):
                y = head(features).permute(0, 2, 3, 1).contiguous()
                list_.append(y.view(y.shape[0], -1, size))
        scores, boxes, marks = (torch.cat(part, 1) for part in found)
        return F.softmax(scores, -1), boxes, marks


class SSD(nn.Module):
    """Liu et al. 2016: L2-normalized features, dilated convolution, and boxes decoded from constant priors."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(3, 16, 3, stride=2), conv_bn(16, 24, 3, stride=2))
        self.scale = nn.Parameter(torch.full((24,), 20.0))
        self.far = nn.Sequential(nn.Conv2d(24, 24, 3, padding=6, dilation=6), nn.ReLU(), nn.MaxPool2d(2))
        self.classes = nn.ModuleList(nn.Conv2d(24, 2 * 5, 3, padding=1) for _ in range(2))
        self.boxes = nn.ModuleList(nn.Conv2d(24, 2 * 4, 3, padding=1) for _ in range(2))
        priors = torch.rand(2 * (10 * 12 + 5 * 6), 4, generator=torch.Generator().manual_seed(3)) * 0.5 + 0.25
        self.register_buffer("priors", priors)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        near = self.body(x)
        far = self.far(near)
        near = near / near.norm(dim=1, keepdim=True).clamp_min(1e-6) * self.scale.view(1, -1, 1, 1)
        scores, boxes = [], []
        for m, classes, box in zip((near, far), self.classes, self.boxes, strict=True):
            scores.append(classes(m).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 5)))
            boxes.append(box(m).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4)))
        offsets = torch.cat(boxes, 1)
        priors = self.priors[None]
        centre = priors[..., :2] + offsets[..., :2] * 0.1 * priors[..., 2:]
        size = priors[..., 2:] * torch.exp(offsets[..., 2:] * 0.2)
        corners = torch.cat([centre - size / 2, centre + size / 2], -1)
        return F.softmax(torch.cat(scores, 1), -1), corners.clamp(0, 1)


class YOLO(nn.Module):
    """A detector of the YOLO line: space to depth, split blocks, pyramid pooling, box decoding by expectation."""

    def __init__(self) -> None:
        super().__init__()
        act = nn.SiLU()
        self.focus = conv_bn(12, 16, 3, act)
        self.down = conv_bn(16, 32, 3, act, stride=2)
        self.split = conv_bn(32, 32, 1, act)
        self.inner = nn.Sequential(conv_bn(16, 16, 3, act), conv_bn(16, 16, 3, act))
        self.join = conv_bn(48, 32, 1, act)
        self.squeeze, self.spread = conv_bn(32, 12, 1, act), conv_bn(48, 32, 1, act)
        self.up = conv_bn(48, 24, 1, act)
        self.head = nn.Conv2d(24, 4 * 8 + 3, 1)
        self.register_buffer("bins", torch.arange(8.0))
        rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
        self.register_buffer("anchors", torch.stack([columns, rows]).flatten(1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
        fine = self.focus(x)
        first, second = self.split(self.down(fine)).chunk(2, 1)
        y = self.squeeze(self.join(torch.cat([first, second, second + self.inner(second)], 1)))
        pools = [y]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        y = F.interpolate(self.spread(torch.cat(pools, 1)), scale_factor=2.0)
        out = self.head(self.up(torch.cat([y, fine], 1))).flatten(2)
        sides, scores = out.split([32, 3], 1)
        distances = (sides.view(-1, 4, 8, sides.shape[2]).softmax(2) * self.bins.view(1, 1, 8, 1)).sum(2)
        low, high = self.anchors - distances[:, :2], self.anchors + distances[:, 2:]
        return torch.cat([(low + high) / 2, high - low, scores.sigmoid()], 1)


#: Name → (network, input shape without the batch).
ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "VGG": (VGG, (3, 24, 24)),
    "ResNet": (ResNet, (3, 40, 36)),
    "DenseNet": (DenseNet, (3, 20, 18)),
    "Inception": (Inception, (3, 35, 31)),
    "SqueezeNet": (SqueezeNet, (3, 37, 37)),
    "MobileNetV3": (MobileNetV3, (3, 32, 28)),
    "EfficientNet": (EfficientNet, (3, 32, 36)),
    "ShuffleNet": (ShuffleNet, (3, 40, 40)),
    "RegNet": (RegNet, (3, 32, 40)),
    "ConvNeXt": (ConvNeXt, (3, 40, 32)),
    "U-Net": (UNet, (3, 24, 32)),
    "FPN detector": (FPNDetector, (3, 64, 48)),
    "SSD": (SSD, (3, 40, 48)),
    "YOLO": (YOLO, (3, 40, 48)),
}


def build(name: str, sparsity: float, seed: int = 0) -> tuple[nn.Module, tuple[int, int, int]]:
    """The network in evaluation mode, ``sparsity`` of the weights of every layer zero, at random; its input shape."""
    make, shape = ARCHITECTURES[name]
    torch.manual_seed(seed)
    module = make().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 2.0)
        if isinstance(part, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            with torch.no_grad():
                part.weight *= torch.rand_like(part.weight) >= sparsity
    return module, shape
