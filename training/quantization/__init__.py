"""Quantization-aware training: a network that computes with bytes while it learns.

``quantized`` makes a copy of a network that rounds weights and activations to the grids of 8-bit integers,
``calibrate`` finds the first ranges, and ``training.train.train`` trains it as any other network, under masks and with
teachers. In evaluation mode ``torch.export`` shows every rounding as ``quantized_decomposed.quantize`` and
``dequantize`` ops, with the very scales and zero points that were trained.
"""

from __future__ import annotations

from training.quantization.fake_quantize import FakeQuantize
from training.quantization.network import Grids, calibrate, grids, quantized, zeros_held

__all__ = ["FakeQuantize", "Grids", "calibrate", "grids", "quantized", "zeros_held"]
