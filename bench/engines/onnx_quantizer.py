"""ONNX file → its int8 form, by ONNX Runtime's static quantization: the one command that others recommend.

Activations are unsigned bytes, one scale and zero point a tensor, found by minimum and maximum; weights are signed
bytes with zero point 0, so that zeros stay zeros. On CPUs with VNNI no pair of types is faster (signed activations take
ONNX Runtime up to 1.4 times as long, unsigned weights twice), and sums cannot saturate.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from sparsenet.targets.cpu.runtime.jit import cpu_features

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.engines.session import Array

#: "qdq": float operators between QuantizeLinear and DequantizeLinear, a scale for each output channel of a weight,
#: which nearly every engine reads. "qoperator": QLinearConv and the like with one scale a weight; "qoperator-symmetric"
#: with 128 as zero point of all activations; "qoperator-layers" with everything in float32 but the layers with weights.
Int8Form = Literal["qdq", "qoperator", "qoperator-symmetric", "qoperator-layers"]

_QOPERATOR: dict[str, Any] = {"quant_format": QuantFormat.QOperator, "per_channel": False}
_FORMS: dict[Int8Form, dict[str, Any]] = {
    "qdq": {"quant_format": QuantFormat.QDQ, "per_channel": True},
    "qoperator": _QOPERATOR,
    "qoperator-symmetric": _QOPERATOR
    | {"extra_options": {"ActivationSymmetric": True, "WeightSymmetric": True}},
    "qoperator-layers": _QOPERATOR | {"op_types_to_quantize": ["Conv", "Gemm", "Relu"]},
}


def quantize_onnx(source: Path, target: Path, form: Int8Form, batches: Iterable[Array]) -> None:
    """Write the float32 model ``source`` in int8 to ``target``; ``batches`` are inputs that show its ranges."""
    model = onnx.load(source, load_external_data=False)
    with _quiet():
        quantize_static(
            source,
            target,
            _Batches(model.graph.input[0].name, batches),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=saturates(cpu_features()),
            # One scale for the scales of all channels would be too coarse: MaskCNN's error doubles.
            nodes_to_exclude=[node.name for node in model.graph.node if node.op_type == "BatchNormalization"],
            **_FORMS[form],
        )


def saturates(features: Iterable[str]) -> bool:
    """Whether the CPU adds pairs of u8 × s8 products in 16 bits, which 8-bit weights overflow and 7-bit ones do not."""
    return "ssse3" in features and not {"avx512vnni", "avxvnni"}.intersection(features)


class _Batches(CalibrationDataReader):
    def __init__(self, name: str, batches: Iterable[Array]) -> None:
        self._feeds = ({name: batch} for batch in batches)

    def get_next(self) -> dict[str, Array] | None:
        """The next feed, or None after the last."""
        return next(self._feeds, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without its advice to preprocess: what is written here is folded, fused and of known shapes."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
