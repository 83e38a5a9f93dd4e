"""Building blocks shared by the convolutional zoo."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERAS_BN_EPS = 1e-3


class SeparableConv2d(nn.Module):
    """Depthwise k×k convolution, then a 1×1 one, with nothing between (Chollet 2017, section 2).

    Shapes: (N, c_in, H, W) → (N, c_out, H, W). The bias, if any, belongs to the 1×1 convolution.
    """

    def __init__(self, c_in: int, c_out: int, *, kernel_size: int = 3, bias: bool = False) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(c_in, c_in, kernel_size, padding=kernel_size // 2, groups=c_in, bias=False)
        self.pointwise = nn.Conv2d(c_in, c_out, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


class Conv2dSame(nn.Conv2d):
    """A convolution with TensorFlow's 'same' padding, which puts an odd row below and an odd column on the right.

    Shapes: (N, c_in, H, W) → (N, c_out, ⌈H/stride⌉, ⌈W/stride⌉). Of stride 2 on an even size, 'same' pads below and on
    the right alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        margins = []
        for size, kernel, stride in zip(
            x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            margins += [total // 2, total - total // 2]
        return super().forward(F.pad(x, margins))


class MaxPoolSame(nn.Module):
    """3×3 max pooling of stride 2 with TensorFlow's 'same' padding: (N, C, H, W) → (N, C, ⌈H/2⌉, ⌈W/2⌉).

    'same' pads one row below an even height and one on both sides of an odd one. ``ceil_mode`` gives the
    first and an explicit padding the second, so no tensor of -inf borders is ever made or exported.
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return F.max_pool2d(x, 3, 2, padding=(height % 2, width % 2), ceil_mode=True)


def global_average_pool(x: Tensor) -> Tensor:
    """Mean over height and width: (N, C, H, W) → (N, C)."""
    return torch.mean(x, dim=(2, 3))


def initialise(model: nn.Module) -> None:
    """He-normal convolutions, small normal linear layers, unit BatchNorm; reads the global generator.

    He et al. 2015, section 2.2 (fan-out is used for depthwise layers' sake: it is k², not C·k²).
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
            nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
            nn.init.zeros_(module.bias)


def scale_variance(part: nn.Module) -> None:
    """Draw every convolution and linear weight of ``part`` as randn / √fan_in, biases zero; reads the global generator.

    For new layers that are to be pruned before training, so that gradients of one size reach all of them: Lee et al.
    2019, "SNIP: Single-shot Network Pruning based on Connection Sensitivity", section 4.2.
    """
    for module in part.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, 0.0, fan_in**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
