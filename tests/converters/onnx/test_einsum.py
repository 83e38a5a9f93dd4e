"""Einsum against ONNX Runtime: every way in which indices can be shared, summed and ordered."""

from __future__ import annotations

import numpy as np
import pytest

from converters import from_onnx, passes
from sparsenet.errors import UnsupportedOpError
from tests.converters.importing import assert_outputs
from tests.converters.onnx.models import assert_converts, model, node, run_onnxruntime, weights

#: Of x (N, 4, 7, 9) and itself; the batch stays in front.
OF_ITSELF = {
    "attention": "bchw,bcxy->bhwxy",
    "all channels": "bchw,bchw->bhw",
    "rows turned": "bchw,bcxw->bchx",
    "columns of one": "bchw,bcxy->bcy",
    "an outer product": "bchw,bckw->bwhck",
}
OF_A_CONSTANT = {
    "channels mixed": ("bchw,oc->bohw", (5, 4)),
    "a map of weights": ("bchw,chw->bc", (4, 7, 9)),
    "by channel": ("bchw,cwo->bcho", (4, 9, 3)),
    "in front": ("oc,bchw->bhwo", (5, 4)),
    "the rest": ("b...w,wo->b...o", (9, 2)),
    "implicit": ("bchw,w", (9,)),
}


@pytest.mark.parametrize("name", OF_ITSELF)
def test_of_two_activations(name: str) -> None:
    assert_converts(model([node("Neg", "x", "n"), node("Einsum", "x n", equation=OF_ITSELF[name])]))


@pytest.mark.parametrize("name", OF_A_CONSTANT)
def test_with_a_constant(name: str) -> None:
    equation, shape = OF_A_CONSTANT[name]
    inputs = "w x" if equation.startswith("oc") else "x w"
    assert_converts(model([node("Einsum", inputs, equation=equation)], {"w": weights(*shape)}))


@pytest.mark.parametrize(
    "equation, inputs",
    [
        ("chw->whc", "x"),
        ("chw->h", "x"),
        ("chw->", "x"),
        ("chw,cd,wk->dhk", "x v w"),
        ("cd,chw,wk->hd", "v x w"),
        ("cd,wk,chw->kdh", "v w x"),
        ("...w,...w->...", "x x"),
    ],
)
def test_of_one_sample(equation: str, inputs: str) -> None:
    shape = (4, 7, 9)
    proto = model(
        [node("Einsum", inputs, equation=equation)], {"v": weights(4, 5), "w": weights(9, 2)}, shape=shape
    )
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    (wanted,) = run_onnxruntime(proto, x)
    raw = from_onnx(proto, batch="fixed", optimize=False)
    for graph in (raw, passes.optimize(raw)):
        assert_outputs(graph, {"x": x[None]}, [wanted[None]])


@pytest.mark.parametrize(
    "equation, hint",
    [
        ("bchw,bcxy->chw", "works across the batch"),
        ("bchw,dchw->bd", "works across the batch"),
        ("bcww,bcww->bc", "a letter twice"),
        ("bchw,bchw->bz", "that no operand has"),
        ("bchw->b", "not one of 2 operands"),
        ("bch,bchw->b", "its operands have"),
        ("bchw,bhcw->b", "has 7 elements here, 4 there"),
    ],
)
def test_refused(equation: str, hint: str) -> None:
    with pytest.raises(UnsupportedOpError, match=hint):
        from_onnx(model([node("Einsum", "x x", equation=equation)]))
