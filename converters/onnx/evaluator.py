"""onnx's reference evaluator, with those operators corrected that it computes otherwise than ONNX specifies.

It takes old definitions of an operator for new ones (softmax over several axes), normalises with the statistics of the
batch where a model means those that it holds, and has slips of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx
    from onnx.reference import ReferenceEvaluator

#: The result of an operator: from its inputs, its opset, and the attributes that it is given, by name.
Compute = Callable[..., np.ndarray]


def evaluator(model: onnx.ModelProto) -> ReferenceEvaluator:
    """An evaluator of the model, for inference.

    Raises:
        Exception: whatever onnx raises on a model that is not valid, or has operators that it cannot evaluate.
    """
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    def operator(name: str, compute: Compute) -> type:
        def run(self: Any, *inputs: np.ndarray, **attributes: Any) -> tuple[np.ndarray]:
            node = self.onnx_node
            if any(list(node.output)[1:]):
                raise NotImplementedError(f"more than one result of {name}")
            # The evaluator fills in what the newest opset has for an attribute that is not there.
            given = {a.name: attributes[a.name] for a in node.attribute}
            result = compute(*inputs, opset=self.run_params["opsets"][node.domain], **given)
            return (result.astype(inputs[0].dtype, copy=False),)

        return type(name, (OpRun,), {"op_domain": "", "_run": run})

    return ReferenceEvaluator(model, new_ops=[operator(*item) for item in _MENDED.items()])


def _batch_norm(
    x: np.ndarray, *parameters: np.ndarray, epsilon: float = 1e-5, training_mode: int = 0, **_: Any
) -> np.ndarray:
    if training_mode:
        raise NotImplementedError("BatchNormalization for training")
    scale, bias, mean, variance = (p.reshape(-1, *[1] * (x.ndim - 2)) for p in parameters)
    return (x - mean) * (scale / np.sqrt(variance + epsilon)) + bias


def _over_axis(compute: Callable[[np.ndarray, int], np.ndarray]) -> Compute:
    """An operator along one axis, -1 by default, since opset 13; before, along an axis, 1 by default, and all after."""

    def along(x: np.ndarray, opset: int, axis: int | None = None) -> np.ndarray:
        if not x.size:
            return x
        if opset >= 13:
            return compute(x, -1 if axis is None else axis)
        first = 1 if axis is None else axis
        rows = math.prod(x.shape[: first + x.ndim if first < 0 else first])
        return compute(x.reshape(rows, -1), 1).reshape(x.shape)

    return along


def _softmax(x: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def _log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def _hardmax(x: np.ndarray, axis: int) -> np.ndarray:
    y = np.zeros_like(x)
    np.put_along_axis(y, np.expand_dims(x.argmax(axis=axis), axis), 1, axis=axis)
    return y


def _global_max_pool(x: np.ndarray, **_: Any) -> np.ndarray:
    return np.asarray(x.max(axis=tuple(range(2, x.ndim)), keepdims=True))


def _lp_normalization(x: np.ndarray, axis: int = -1, p: int = 2, **_: Any) -> np.ndarray:
    norm = (np.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1 / p)
    return np.divide(x, norm, out=np.zeros_like(x), where=norm != 0)


def _local_response(
    x: np.ndarray, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, **_: Any
) -> np.ndarray:
    before = (size - 1) // 2
    windows = (x[:, max(0, c - before) : c - before + size] for c in range(x.shape[1]))
    squares = np.concatenate([(window**2).sum(axis=1, keepdims=True) for window in windows], axis=1)
    return np.asarray(x / (bias + alpha / size * squares) ** beta)


_MENDED: dict[str, Compute] = {
    "BatchNormalization": _batch_norm,
    "Softmax": _over_axis(_softmax),
    "LogSoftmax": _over_axis(_log_softmax),
    "Hardmax": _over_axis(_hardmax),
    "GlobalMaxPool": _global_max_pool,
    "LpNormalization": _lp_normalization,
    "LRN": _local_response,
}
