"""Logic, signs and sums up to each element; and operations without a rule, which torch spells out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from converters import from_torch
from sparsenet import reference
from sparsenet.errors import UnsupportedOpError
from tests.converters.importing import assert_converts
from tests.converters.torch.test_import_ops import Call

IMAGE = (4, 6, 5)
LOGIC: dict[str, Callable[[Tensor], Tensor]] = {
    "bits of truths": lambda x: ((x > 0) & (x < 0.5) | ~(x > -1) ^ (x.flip(1) > 0)).float(),
    "logic of numbers": lambda x: torch.logical_and(x.floor(), x.flip(1).floor()).float(),
    "or": lambda x: torch.logical_or(x.floor(), x > 1).float(),
    "xor": lambda x: torch.logical_xor(x.floor(), x.flip(1).floor()).float(),
    "not": lambda x: torch.logical_not(x.floor()).float(),
    "any": lambda x: x.floor().any(3).float(),
    "all": lambda x: (x > -1).all(2, keepdim=True).float(),
    "sign": lambda x: torch.sign(x.relu() - (-x - 1).relu()),
    "nothing is NaN": lambda x: x + torch.isnan(x) + torch.isinf(x) + torch.isfinite(x),
}
NUMBERS: dict[str, Callable[[Tensor], Tensor]] = {
    "trunc": lambda x: torch.trunc(x * 3),
    "log2": lambda x: torch.log2(x.abs() + 1),
    "log10": lambda x: torch.log10(x.abs() + 1),
    "exp2": torch.exp2,
    "sin": lambda x: torch.sin(7 * x),
    "cos": lambda x: torch.cos(x.mean((2, 3)) * torch.arange(400.0, 404.0)),
    "tan": torch.tan,
    "cumsum of rows": lambda x: x.cumsum(2),
    "cumsum of channels": lambda x: x.cumsum(1),
    "logsigmoid": F.logsigmoid,
    "3-norm": lambda x: x.norm(p=3, dim=(2, 3)),
    "half-norm": lambda x: torch.linalg.vector_norm(x, 0.5, dim=1),
    "var_mean": lambda x: torch.cat(torch.var_mean(x, (2, 3)), 1),
    "matrix times vector": lambda x: x @ torch.arange(5.0),
    "embedding": lambda x: F.embedding(x.argmax(1), torch.arange(12.0).view(4, 3)),
    "antialiased": lambda x: F.interpolate(x, (4, 9), mode="bilinear", antialias=True),
    "antialiased by a factor": lambda x: F.interpolate(
        x, scale_factor=(0.4, 1.7), mode="bilinear", antialias=True
    ),
    "antialiased cubic": lambda x: F.interpolate(x, (4, 9), mode="bicubic", antialias=True),
}
SPELT_OUT: dict[str, Callable[[Tensor], Tensor]] = {
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "repeat_interleave of images": lambda x: x.repeat_interleave(3, 0).reshape(-1, 3, *IMAGE).sum(1),
    "logsumexp": lambda x: x.logsumexp(1),
    "lerp": lambda x: torch.lerp(x, x.flip(1), 0.3),
    "std": lambda x: x.std((2, 3)),
    "glu": lambda x: F.glu(x, 1),
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "threshold": lambda x: F.threshold(x, 0.1, -2.0),
    "tril": lambda x: x.tril(),
    "rms_norm": lambda x: F.rms_norm(x, (5,), torch.arange(5.0)),
    "broadcast_tensors": lambda x: torch.broadcast_tensors(x.mean(1, True), torch.ones(4, 1, 1))[0],
    "nan_to_num": torch.nan_to_num,
    "cosine_similarity": lambda x: F.cosine_similarity(x, x.flip(1), 1),
    "lp_pool": lambda x: F.lp_pool2d(x, 2, 2),
    "nearest of sounds": lambda x: F.interpolate(x.flatten(2), scale_factor=2),
    "linear of sounds": lambda x: F.interpolate(x.flatten(2), scale_factor=2, mode="linear"),
    "largest of sounds": lambda x: F.adaptive_max_pool1d(x.flatten(2), 5),
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "diff": lambda x: torch.diff(x, dim=2),
}


class All(nn.Module):
    """Every one of some functions of its input, by name."""

    def __init__(self, functions: Mapping[str, Callable[[Tensor], Tensor]]) -> None:
        super().__init__()
        self.functions = dict(functions)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {name: function(x) for name, function in self.functions.items()}


@pytest.mark.parametrize("functions", [LOGIC, NUMBERS, SPELT_OUT], ids=["logic", "numbers", "spelt out"])
def test_functions(functions: Mapping[str, Callable[[Tensor], Tensor]]) -> None:
    assert_converts(All(functions), IMAGE)


def test_functions_of_a_fixed_batch() -> None:
    names = ["lerp", "glu", "logsumexp", "repeat_interleave of images"]
    module = All({**{name: SPELT_OUT[name] for name in names}, **LOGIC, "logsigmoid": F.logsigmoid})
    x = torch.randn(2, *IMAGE)
    graph = from_torch(module, x, batch="fixed")
    values = reference.run(graph, {"input": x[None].numpy()})
    for name, (function, expected) in zip(graph.outputs, module(x).items(), strict=True):
        torch.testing.assert_close(torch.from_numpy(values[name][0]).float(), expected, msg=function)


@pytest.mark.parametrize("equation", ["bhwc,hkc->bhwk", "bhwc,wkc->khwb", "bhwc,bkwc->bhk"])
def test_einsum_of_heads_folded_into_the_batch(equation: str) -> None:
    table = torch.arange(2 * 3 * 5.0).view(2, 3, 5)

    def attention(x: Tensor) -> Tensor:
        heads = x.reshape(x.shape[0] * 4, 2, 3, 5)
        other = heads if "bk" in equation else table[:, :2] if ",h" in equation else table.permute(1, 0, 2)
        y = torch.einsum(equation, heads, other)
        y = y.permute(3, 0, 1, 2) if equation.endswith("b") else y
        return y.reshape(x.shape[0], 4, -1)

    assert_converts(Call(attention), IMAGE)


def test_a_layer_of_a_constant_of_the_batch() -> None:
    """Products of one row and of two may round differently, and are the same constant."""
    layer, query = nn.Linear(192, 64), nn.Parameter(torch.randn(1, 3, 192))
    assert_converts(
        Call(lambda x: layer(query.expand(x.shape[0], -1, -1)) * x.mean((1, 2, 3))[:, None, None]), IMAGE
    )


@pytest.mark.parametrize("layer", [nn.LSTM(5, 4), nn.GRU(5, 4), nn.RNN(5, 4)])
def test_recurrent_layers_are_not_spelt_out(layer: nn.Module) -> None:
    module = Call(lambda x: layer(x[:, 0])[0])
    with pytest.raises(UnsupportedOpError, match="recurrent layers are not supported"):
        from_torch(module, torch.randn(1, *IMAGE))


def test_bits_of_integers_are_refused() -> None:
    module = Call(lambda x: (x.argmax(1) & 1).float())
    with pytest.raises(UnsupportedOpError, match="bits of integers are not supported"):
        from_torch(module, torch.randn(1, *IMAGE))
