"""ScatterND and ScatterElements at constant places that join what comes together, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from converters import from_onnx, passes
from sparsenet import Engine, reference
from sparsenet.errors import UnsupportedOpError
from tests.converters.onnx.models import model, node, run_onnxruntime, weights

RNG = np.random.default_rng(0)
#: Elements of axis 1, one of them three times.
COLUMNS = np.array([[0, 2, 2, 2], [1, -1, 0, 3], [4, 4, 1, 1]])
ROWS = np.array([[2], [0], [2]])


@pytest.mark.parametrize("kind", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("which", ["data", "updates", "both"])
@pytest.mark.parametrize("op", ["ScatterElements", "ScatterND"])
def test_joined(op: str, which: str, kind: str) -> None:
    """The network's input is written to, written, or both."""
    attrs = {"axis": 1} if op == "ScatterElements" else {}
    indices = COLUMNS if attrs else ROWS
    shape = (3, 5) if which == "data" or op == "ScatterND" else (3, 4)
    nodes = [node("Slice", "x zero four one", "part")] if which == "both" and attrs else []
    inputs = {
        "data": "x places c",
        "updates": "c places x",
        "both": f"x places {'part' if attrs else 'x'}",
    }[which]
    if which == "both":
        shape = (3, 5)
    constant = weights(3, 4) if which == "data" and attrs else weights(3, 5)
    proto = model(
        [*nodes, node(op, inputs, reduction=kind, **attrs)],
        {
            "places": indices,
            "c": constant,
            "zero": np.array([0]),
            "four": np.array([4]),
            "one": np.array([1]),
        },
        shape=shape,
    )
    x = RNG.standard_normal(shape).astype(np.float32)
    (wanted,) = run_onnxruntime(proto, x)
    raw = from_onnx(proto, batch="fixed", optimize=False)
    engine = Engine(passes.optimize(raw), 1)
    for got in (reference.run(raw, {"x": x[None]})["y"], engine(x[None])):
        np.testing.assert_allclose(got[0], wanted, rtol=1e-6, atol=1e-6)
    engine.close()


def test_what_nothing_comes_to_is_left_alone() -> None:
    """Infinite or not, added to and multiplied."""
    x = np.float32([[np.inf, -np.inf, 0.0, 5.0]])
    for kind in ("add", "mul", "max", "min"):
        proto = model(
            [node("ScatterElements", "x i c", axis=1, reduction=kind)],
            {"i": np.array([[3, 3]]), "c": np.float32([[2, 3]])},
            shape=(1, 4),
        )
        (wanted,) = run_onnxruntime(proto, x)
        got = reference.run(from_onnx(proto, batch="fixed"), {"x": x[None]})["y"][0]
        np.testing.assert_array_equal(got, wanted)


def test_too_many_in_one_place() -> None:
    proto = model(
        [node("ScatterElements", "c i x", axis=1, reduction="add")],
        {"i": np.zeros((1, 65), np.int64), "c": np.float32([[2]])},
        shape=(1, 65),
    )
    with pytest.raises(UnsupportedOpError, match="combines 65 numbers in one place"):
        from_onnx(proto, batch="fixed")
