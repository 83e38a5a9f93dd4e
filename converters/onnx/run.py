"""Running an ONNX model itself: by onnxruntime, or by onnx's own evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from converters.onnx.wide import has_bfloat16, widened
from sparsenet.errors import UnsupportedOpError

if TYPE_CHECKING:
    import onnx


def run(model: onnx.ModelProto, outputs: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Values of ``outputs``; by onnx's reference evaluator where onnxruntime is not there or refuses the model.

    Raises:
        UnsupportedOpError: neither can run the model.
    """
    if has_bfloat16(model):
        model = widened(model, double=False)  # ONNX Runtime computes nothing in bfloat16 on a CPU
    try:
        return _by_onnxruntime(model, outputs, feeds)
    except ImportError:
        return _by_reference(model, outputs, feeds)
    except MemoryError:
        raise
    except Exception as refusal:  # its errors have no common type
        try:
            return _by_reference(model, outputs, feeds)
        except MemoryError:
            raise
        except Exception:
            reason = " ".join(str(refusal).split())
            raise UnsupportedOpError(
                f"the model cannot be run for comparison; onnxruntime says: {reason}"
            ) from refusal


def _by_onnxruntime(
    model: onnx.ModelProto, outputs: list[str], feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # errors are raised
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return list(session.run(outputs, dict(feeds)))


def _by_reference(
    model: onnx.ModelProto, outputs: list[str], feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    from converters.onnx.evaluator import evaluator

    return list(evaluator(model).run(outputs, dict(feeds)))
