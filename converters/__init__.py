"""From other frameworks to the engine: importers, exact passes, the conversion pipeline.

Importing this package needs neither torch nor onnx; each is loaded by the function that uses it.

    from converters import from_onnx, from_torch, prune, quantize
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsenet.lazy import lazy_names

if TYPE_CHECKING:
    from converters.onnx_import import from_onnx
    from converters.pruning.prune import prune
    from converters.pruning.sensitivity import sensitivity
    from converters.quantization.equalize import equalize
    from converters.quantization.quantize import quantize
    from converters.quantization.report import quantization_report
    from converters.torch_import import from_torch
    from converters.writing.onnx_model import write_onnx
    from converters.writing.torch_module import write_module

__all__ = [
    "equalize",
    "from_onnx",
    "from_torch",
    "prune",
    "quantization_report",
    "quantize",
    "sensitivity",
    "write_module",
    "write_onnx",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "from_onnx": "onnx_import",
        "prune": "pruning.prune",
        "sensitivity": "pruning.sensitivity",
        "equalize": "quantization.equalize",
        "quantize": "quantization.quantize",
        "quantization_report": "quantization.report",
        "from_torch": "torch_import",
        "write_module": "writing.torch_module",
        "write_onnx": "writing.onnx_model",
    },
)
