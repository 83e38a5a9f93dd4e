"""Importers with arguments of the wrong type, number or size: one typed line; weights stored sparse are weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn

from converters import from_onnx, from_torch
from sparsenet import Engine
from sparsenet.errors import InputError, MaskError, SparsenetError

X = torch.zeros(1, 3, 8, 8)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5)).eval()


def model() -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 5]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Exp", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def refused(call: Callable[[], object], kind: type[SparsenetError] = SparsenetError) -> str:
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert 0 < len(message) < 400
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "wrong",
    [None, 3, 1.5, [], {}, (), np.zeros(3), object(), "no/such", b"x"],
    ids=lambda value: type(value).__name__,
)
def test_models_that_are_none(wrong: Any) -> None:
    refused(lambda: from_onnx(wrong))


def test_folders_and_texts_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    (tmp_path / "empty.onnx").touch()
    for wrong in (tmp_path, tmp_path / "text.onnx", tmp_path / "empty.onnx", tmp_path / "none.onnx"):
        refused(lambda wrong=wrong: from_onnx(wrong))


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"shapes": v}
            for v in (3, "x", {"x": 3}, {"x": "1x5"}, {3: (1, 5)}, {"x": (1, -5)}, {"y": (1, 5)})
        ),
        *({"dims": v} for v in (3, {"b": "x"}, {3: 3}, {"b": 0})),
        *({"batch": v} for v in ("x", 3, None, ["fixed"])),
        *({"optimize": v} for v in (3, "no", None)),
        *({"masks": v} for v in (3, "a", [1], (2,), np.ones(2), {"w": [[1], [1, 2]]}, {"w": None}, {3: 2})),
        *({name: np.ones(2)} for name in ("shapes", "dims", "image_size", "batch", "optimize")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_options_of_from_onnx(options: dict[str, Any]) -> None:
    refused(lambda: from_onnx(model(), **options))


@pytest.mark.parametrize(
    "wrong",
    [None, 3, "a", [], {}, np.zeros(3), torch.zeros(3), nn.Conv2d, len],
    ids=lambda v: type(v).__name__,
)
def test_modules_that_are_none(wrong: Any) -> None:
    assert "module" in refused(lambda: from_torch(wrong, X), InputError)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_compiled_modules() -> None:
    assert "torch.jit" in refused(lambda: from_torch(torch.jit.trace(network(), X), X), InputError)


@pytest.mark.parametrize(
    "wrong",
    [
        None, 3, "a", [], (), {}, [None], [3], {"input": X}, object(), np.zeros(3, np.float32), np.array(["a"]),
        np.zeros((1, 3, 8, 8), int), np.array([None]), torch.zeros(()), torch.zeros(1, 4, 8, 8), X.to(torch.int8),
        X.to(torch.complex64), X.to("meta"), X.to_sparse(), [X, X],
    ],
    ids=lambda v: f"{type(v).__name__} {getattr(v, 'dtype', '')} {getattr(v, 'shape', '')}",
)  # fmt: skip
def test_example_inputs_that_are_none(wrong: Any) -> None:
    refused(lambda: from_torch(network(), wrong))


@pytest.mark.parametrize(
    "x",
    [np.zeros((1, 3, 8, 8), ">f4"), np.zeros((1, 3, 8, 8))[:, ::-1], np.zeros((1, 3, 8, 8), np.longdouble)],
)
def test_floats_of_any_kind_are_example_inputs(x: np.ndarray) -> None:
    assert from_torch(network(), x).inputs[0].shape == (None, 3, 8, 8)


@pytest.mark.parametrize(
    "options",
    [
        *({"batch": v} for v in (3, None, "x", ["fixed"])),
        *({"optimize": v} for v in ("no", None)),
        *({"name": v} for v in (3, ["a"])),
        *({"open_size": v} for v in (3, 0, 2.5, "yes", None, [2], np.ones(2), {"input": 2}, {"input": "a"})),
        *({"masks": v} for v in (3, "a", [], torch.ones(3), {3: torch.ones(4, 3, 3, 3)})),
        *(
            {"masks": {"0.weight": v}}
            for v in (None, 3, "a", [[1, [2]]], torch.full((4, 3, 3, 3), torch.nan))
        ),
        {"masks": {"0.weight": torch.ones(4, 3, 3, 3, device="meta")}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_options_of_from_torch(options: dict[str, Any]) -> None:
    refused(lambda: from_torch(network(), X, **options), MaskError if "masks" in options else InputError)


def test_masks_may_be_sparse_tensors() -> None:
    mask = torch.zeros(4, 3, 3, 3)
    mask[1] = 1
    got, want = (from_torch(network(), X, {"0.weight": m}, optimize=False) for m in (mask.to_sparse(), mask))
    weight = "0.weight"
    np.testing.assert_array_equal(got.constants[weight] != 0, want.constants[weight] != 0)


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta:UserWarning")
@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_sparse_csc", "to_sparse_bsr"])
def test_weights_stored_sparse_become_dense(layout: str) -> None:
    plain = nn.Sequential(nn.Linear(8, 4))
    with torch.no_grad():
        plain[0].weight[::2] = 0
    stored = copy.deepcopy(plain)
    block = [(2, 2)] if layout == "to_sparse_bsr" else []
    stored[0].weight = nn.Parameter(getattr(stored[0].weight.data, layout)(*block))
    x = torch.randn(3, 8)
    got = Engine(from_torch(stored, x), 1)(x.numpy())
    np.testing.assert_allclose(got, plain(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert stored[0].weight.layout != torch.strided  # the module itself is left as it is


@pytest.mark.parametrize(
    "module, message",
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3)).to("meta"), "'0.weight' is on the meta device"),
        (nn.Sequential(nn.LazyConv2d(4, 3)), "'0.weight' has no numbers yet"),
        (nn.Sequential(nn.LazyBatchNorm2d()), "has no numbers yet"),
    ],
)
def test_modules_without_numbers(module: nn.Module, message: str) -> None:
    assert message in refused(lambda: from_torch(module, X), InputError)
