"""Hints: what to use instead of operations that users meet often and that have no counterpart here."""

from __future__ import annotations

_BATCH_STATISTICS = "it normalises with the statistics of the batch; train it with running statistics"
_CHOICE = "which of its branches runs depends on the input's values; export the branch that you need"
_LOOP = "loops are not supported; export the model with the loop written out"
_OUTSIDE = "how much it gives depends on the data; end the network before it and compute it of the output"
_THREE = "only one and two spatial dimensions are supported"
_RECURRENT = "recurrent layers are not supported"
RANDOM = "it draws random numbers; make them an input of the network"

#: Hint by ATen name without overload.
TORCH_HINTS = {
    "conv_transpose3d": _THREE,
    "_native_batch_norm_legit": _BATCH_STATISTICS,
    "nonzero": _OUTSIDE,
    "nms": _OUTSIDE,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _RECURRENT),
}

#: Hint by ONNX ``op_type``.
ONNX_HINTS = {
    "Unique": _OUTSIDE,
    "RoiAlign": _OUTSIDE,
    "If": _CHOICE,
    "Loop": _LOOP,
    "Scan": _LOOP,
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "RNN": _RECURRENT,
    **dict.fromkeys(
        (
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
            "Bernoulli",
            "Multinomial",
        ),
        RANDOM,
    ),
}

_NOTHING_BETTER = "no counterpart among the supported operations"


def torch_hint(target: str, random: bool) -> str:
    """The hint for an ATen call, for instance "gelu.default"; ``random``: it draws numbers."""
    return TORCH_HINTS.get(target.split(".")[0], RANDOM if random else _NOTHING_BETTER)


def onnx_hint(op: str, otherwise: str = _NOTHING_BETTER) -> str:
    """The hint for an ONNX ``op_type``; ``otherwise`` where there is none."""
    return ONNX_HINTS.get(op, otherwise)
