"""What to do instead of operations that users meet often and that have no counterpart here."""

from __future__ import annotations

_OWN_STATISTICS = "it depends on each input's own statistics; use batch norm"
_BATCH_STATISTICS = "it normalises with the statistics of the batch; train it with running statistics"
_QUANTIZED = "convert the float model; storage as i8 is an option of the model file"
_CONTROL_FLOW = "control flow is not supported; simplify the model first (onnxsim)"
_ACTIVATION = "use relu, leaky_relu, silu or hard_swish"
_TRANSPOSED = "transposed convolution is not supported; use resize followed by a convolution"
_LOG_SOFTMAX = "end the network before it, or use softmax"
_OUTSIDE = "end the network before it and compute it of the output"

#: By ATen name without overload.
TORCH_HINTS = {
    "conv_transpose2d": _TRANSPOSED,
    "conv1d": "only two-dimensional convolutions are supported; add a dimension of size 1",
    "conv3d": "only two-dimensional convolutions are supported",
    "instance_norm": _OWN_STATISTICS,
    "layer_norm": _OWN_STATISTICS,
    "native_layer_norm": _OWN_STATISTICS,
    "group_norm": _OWN_STATISTICS,
    "native_group_norm": _OWN_STATISTICS,
    "_native_batch_norm_legit": _BATCH_STATISTICS,
    "log_softmax": _LOG_SOFTMAX,
    "_log_softmax": _LOG_SOFTMAX,
    "argmax": _OUTSIDE,
    "topk": _OUTSIDE,
    "gelu": _ACTIVATION,
    "elu": _ACTIVATION,
    "softplus": _ACTIVATION,
    "mish": _ACTIVATION,
    "upsample_bicubic2d": "use mode 'nearest' or 'bilinear'",
    "scaled_dot_product_attention": "attention is not supported",
    "lstm": "recurrent layers are not supported",
    "gru": "recurrent layers are not supported",
}

#: By ``op_type``.
ONNX_HINTS = {
    "ConvTranspose": _TRANSPOSED,
    "ConvInteger": _QUANTIZED,
    "QLinearConv": _QUANTIZED,
    "QLinearMatMul": _QUANTIZED,
    "QuantizeLinear": _QUANTIZED,
    "DequantizeLinear": _QUANTIZED,
    "InstanceNormalization": _OWN_STATISTICS,
    "LayerNormalization": _OWN_STATISTICS,
    "GroupNormalization": _OWN_STATISTICS,
    "LogSoftmax": _LOG_SOFTMAX,
    "ArgMax": _OUTSIDE,
    "TopK": _OUTSIDE,
    "NonMaxSuppression": _OUTSIDE,
    "If": _CONTROL_FLOW,
    "Loop": _CONTROL_FLOW,
    "Scan": _CONTROL_FLOW,
    "Gelu": _ACTIVATION,
    "Erf": _ACTIVATION,
    "Elu": _ACTIVATION,
    "LSTM": "recurrent layers are not supported",
    "GRU": "recurrent layers are not supported",
}

_NOTHING_BETTER = "no counterpart among the supported operations"


def torch_hint(target: str) -> str:
    """For an ATen call, for instance "gelu.default"."""
    return TORCH_HINTS.get(target.split(".")[0], _NOTHING_BETTER)


def onnx_hint(op: str) -> str:
    """For an ONNX ``op_type``."""
    return ONNX_HINTS.get(op, _NOTHING_BETTER)
