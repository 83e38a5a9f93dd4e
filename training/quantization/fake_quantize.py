"""Layers that round numbers to the grid of an 8-bit integer, and let gradients pass as if they did not.

Affine quantization of Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, sections 2.1 and 3: activations are unsigned bytes on one grid for each tensor,
weights signed bytes with one scale for each output channel and no zero point, so that a zero stays a zero. The gradient
is that of the identity within the range and zero outside (straight-through estimator).

In evaluation mode grids stand still. ``torch.export`` then traces ``torch.ops.quantized_decomposed``, the ops of
PyTorch's own exported quantized networks: ``quantize_per_tensor(x, scale, zero_point, 0, 255, torch.uint8)`` and
``quantize_per_channel(weight, scales, zero_points, 0, -127, 127, torch.int8)``, each with its ``dequantize``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

# The import registers torch.ops.quantized_decomposed.
import torch.ao.quantization.fx._decomposed
from torch import Tensor, nn

from training.models.layers import Conv2dSame

#: Largest integer of a weight: -128 has no counterpart.
LARGEST_WEIGHT = 127
#: Ranges below this are taken for none: their scales would be subnormal.
LEAST_RANGE = 1e-30

_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


class FakeQuantize(nn.Module):
    """Rounds activations to 256 steps between the ends of their usual range, 0 included.

    In training mode the range follows the least and the largest number of each batch as a moving average (section 3.1
    of the paper); the first batch sets it.

    Attributes:
        low, high: the range, float32 ().
        momentum: weight of a batch in the average.
        scale, zero_point: number = scale * (byte - zero_point), as of the last call of ``eval``.
    """

    low: Tensor
    high: Tensor

    def __init__(self, momentum: float = 0.01) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.momentum = momentum
        self.scale, self.zero_point = 1.0, 0

    def grid(self) -> tuple[Tensor, Tensor]:
        """Scale, float32 (), and zero point, int32 ()."""
        spread = self.high - self.low
        scale = torch.where(spread > LEAST_RANGE, spread / 255, 1.0)
        return scale, (-self.low / scale).round().clamp(0, 255).int()

    def train(self, mode: bool = True) -> FakeQuantize:
        """Let the range follow what passes, or fix the grid."""
        if not mode and not self.low.is_meta:
            scale, zero_point = self.grid()
            self.scale, self.zero_point = float(scale), int(zero_point)
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` on its grid, of the same shape."""
        if _is_exporting():
            to = (self.scale, self.zero_point, 0, 255, torch.uint8)
            ops = torch.ops.quantized_decomposed
            exported: Tensor = ops.dequantize_per_tensor(ops.quantize_per_tensor(x, *to), *to)
            return exported
        x = x.float()
        if self.training:
            self._observe(x.detach())
        return torch.fake_quantize_per_tensor_affine(x, *self.grid(), 0, 255)

    @torch.no_grad()
    def _observe(self, x: Tensor) -> None:
        low, high = x.aminmax()
        weight = torch.where(self.high > self.low, self.momentum, 1.0)
        self.low.lerp_(low.clamp(max=0), weight)
        self.high.lerp_(high.clamp(min=0), weight)


class RoundedWeights(nn.Module):
    """What layers with rounded weights share: (C_out, …), one scale for each output channel, of its largest weight.

    Attributes:
        weight_scale: float32 (C_out,), as of the last call of ``eval``.
        weight_zero: int64 (C_out,), zeros.
    """

    weight: Tensor
    weight_scale: Tensor
    weight_zero: Tensor

    def train(self, mode: bool = True) -> RoundedWeights:
        """Let the scales follow the weights, or fix them."""
        if not mode:
            self.weight_scale = _scales(self.weight)
        super().train(mode)
        return self

    def rounded(self, weight: Tensor) -> Tensor:
        """``weight`` on its grid."""
        if _is_exporting():
            to = (self.weight_scale, self.weight_zero, 0, -LARGEST_WEIGHT, LARGEST_WEIGHT, torch.int8)
            ops = torch.ops.quantized_decomposed
            exported: Tensor = ops.dequantize_per_channel(ops.quantize_per_channel(weight, *to), *to)
            return exported
        scales = _scales(weight) if self.training else self.weight_scale
        return torch.fake_quantize_per_channel_affine(
            weight, scales, self.weight_zero.int(), 0, -LARGEST_WEIGHT, LARGEST_WEIGHT
        )


class QuantizedConv2d(RoundedWeights, nn.Conv2d):
    """A convolution with rounded weights."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(x, self.rounded(weight), bias)


class QuantizedConv2dSame(QuantizedConv2d, Conv2dSame):
    """The same with TensorFlow's padding."""


class QuantizedLinear(RoundedWeights, nn.Linear):
    """A fully connected layer with rounded weights."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, C_in) → (…, C_out)."""
        return nn.functional.linear(x, self.rounded(self.weight), self.bias)


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm that keeps its running statistics and normalises by them, in training mode too."""

    def train(self, mode: bool = True) -> FrozenBatchNorm2d:
        """Stay in evaluation mode."""
        return super().train(False)


#: What a layer of exactly this kind becomes.
QUANTIZED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: QuantizedConv2d,
    Conv2dSame: QuantizedConv2dSame,
    nn.Linear: QuantizedLinear,
}


def round_weights(layer: nn.Module) -> None:
    """Make a layer of ``QUANTIZED`` round its weights; its parameters keep their names and numbers."""
    weight = layer.get_parameter("weight")
    layer.__class__ = QUANTIZED[type(layer)]
    zeros = torch.zeros(len(weight), dtype=torch.int64, device=weight.device)
    layer.register_buffer("weight_scale", _scales(weight), persistent=False)
    layer.register_buffer("weight_zero", zeros, persistent=False)


@torch.no_grad()
def _scales(weight: Tensor) -> Tensor:
    most = weight.detach().abs().flatten(1).amax(dim=1).float()
    return torch.where(most > LEAST_RANGE, most / LARGEST_WEIGHT, 1.0)
