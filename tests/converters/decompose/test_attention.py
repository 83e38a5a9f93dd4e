"""Attention with masks, from PyTorch and from ONNX."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

import sparsenet
from converters import from_onnx
from sparsenet.errors import UnsupportedOpError
from tests.converters.importing import assert_converts
from tests.converters.onnx.models import node, weights
from tests.converters.torch.test_import_ops import Call

HEADS = (2, 5, 4)
LATER = torch.triu(torch.full((5, 5), -torch.inf), 1)


def scaled(**options: object) -> Callable[[Tensor], Tensor]:
    return lambda x: F.scaled_dot_product_attention(x, x * 2, x.flip(2), **options)  # type: ignore[arg-type]


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "causal": scaled(is_causal=True),
    "causal, fewer queries": lambda x: F.scaled_dot_product_attention(x[:, :, :3], x, x, is_causal=True),
    "truth values": scaled(attn_mask=torch.eye(5) + torch.eye(5).flip(0) > 0.5),
    "a query that sees nothing": scaled(attn_mask=torch.arange(5)[:, None] > torch.arange(5)),
    "numbers": scaled(attn_mask=LATER, scale=0.3),
    "computed truth values": lambda x: F.scaled_dot_product_attention(x, x, x, x @ x.mT > 0),
    "computed numbers": lambda x: F.scaled_dot_product_attention(x, x, x, (x @ x.mT).tanh()),
    "shared heads": lambda x: F.scaled_dot_product_attention(
        torch.cat([x, x * 2], 1), x * 2, x, enable_gqa=True
    ),
    "masked_fill": lambda x: x.masked_fill(x > 0.5, -2.0),
    "baddbmm": lambda x: torch.baddbmm(x[:, 0, :, :1], x[:, 0], x[:, 1].mT, beta=0.5, alpha=2.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    assert_converts(Call(FUNCTIONS[name]), HEADS)


class Tokens(nn.Module):
    """A layer of attention on tokens (N, 5, 8), with a kind of mask."""

    def __init__(self, mask: str) -> None:
        super().__init__()
        self.mask = mask
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        match self.mask:
            case "truth values":
                return self.attention(x, x, x, attn_mask=LATER < 0, need_weights=False)[0]
            case "numbers":
                return self.attention(x, x, x, attn_mask=LATER)[1]
            case "causal":
                return self.attention(x, x, x, attn_mask=LATER, is_causal=True, need_weights=False)[0]
            case "padding":
                missing = x[:, :, 0] > x[:, :, 0].mean(1, keepdim=True) + 0.5
                return self.attention(x, x, x, key_padding_mask=missing, need_weights=False)[0]
        return self.layer(x, src_mask=LATER)


@pytest.mark.parametrize("mask", ["truth values", "numbers", "causal", "padding", "of a layer"])
def test_layer(mask: str) -> None:
    assert_converts(Tokens(mask), (5, 8))


def attention_model(mask: np.ndarray | None, shape: tuple[int, ...], **attributes: object) -> onnx.ModelProto:
    """Attention of queries x, keys 2 x and values -x."""
    tensors = "x k v" if mask is None else "x k v m"
    nodes = [node("Add", "x x", "k"), node("Neg", "x", "v"), node("Attention", tensors, **attributes)]
    graph = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [] if mask is None else [numpy_helper.from_array(mask, "m")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])


ONNX = {
    "heads": (None, HEADS, {}),
    "heads in one axis": (None, (5, 8), {"q_num_heads": 2, "kv_num_heads": 2}),
    "numbers": (weights(5, 5), HEADS, {"scale": 0.3}),
    "truth values": (np.tri(5, dtype=bool), HEADS, {}),
    "causal": (weights(1, 2, 5, 5), HEADS, {"is_causal": 1}),
    "capped": (None, HEADS, {"softcap": 0.5}),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ONNX)
def test_onnx(name: str, count: int) -> None:
    mask, shape, attributes = ONNX[name]
    proto = attention_model(mask, shape, **attributes)
    x = np.random.default_rng(0).standard_normal((count, *shape)).astype(np.float32)
    (expected,) = ReferenceEvaluator(proto).run(None, {"x": x})
    np.testing.assert_allclose(sparsenet.Engine(from_onnx(proto), threads=1)(x), expected, 1e-4, 1e-5)


def test_keys_of_an_earlier_run_are_refused() -> None:
    proto = attention_model(None, HEADS)
    attention = proto.graph.node[-1]
    attention.input.extend(["", "x", "x"])
    with pytest.raises(UnsupportedOpError, match="earlier run"):
        from_onnx(proto)
