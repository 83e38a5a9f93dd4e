"""From other frameworks to the engine: importers, exact passes, the conversion pipeline.

Importing this package needs neither torch nor onnx; each is loaded by the function that uses it.

    from converters import from_onnx, from_torch, quantize
"""

from __future__ import annotations

from converters.onnx_import import from_onnx
from converters.quantization.equalize import equalize
from converters.quantization.quantize import quantize
from converters.quantization.report import quantization_report
from converters.torch_import import from_torch

__all__ = ["equalize", "from_onnx", "from_torch", "quantization_report", "quantize"]
