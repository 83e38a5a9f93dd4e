"""From steps to rows of the tape: every argument under its name, as what the kernel's family declares it."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet.plan.assemble import Step, encode_tape, require_declared
from sparsenet.plan.ref import Ref, Word
from sparsenet.targets.abi import encode_float
from sparsenet.targets.registry import Kernel

FILL = Kernel("f32_fill_none_any", 16)
GIVEN: dict[str, Word] = {"value": 0.5, "size": 8, "out": Ref("arena", 0)}


def test_a_row_is_in_the_order_of_the_declaration() -> None:
    steps = [Step(FILL, dict(reversed(GIVEN.items())), "layer")]
    assert encode_tape(steps, lambda _: 7)[0].tolist()[:4] == [0, encode_float(0.5), 8, 7]


@pytest.mark.parametrize(
    "name, value, kind",
    [("out", 0, "pointer"), ("out", 0.5, "pointer"), ("size", Ref("arena", 0), "integer")],
)
def test_what_is_not_of_the_declared_kind_is_named(name: str, value: Word, kind: str) -> None:
    steps = [Step(FILL, {**GIVEN, name: value}, "layer")]
    with pytest.raises(ValueError, match=f"f32_fill_none_any__cpu_v16: {name} is a {kind}, got"):
        encode_tape(steps, lambda _: 7)


def test_every_argument_is_given_and_none_beside_them() -> None:
    with pytest.raises(ValueError, match=r"\['size', 'sizes'\] missing or unknown"):
        Step(FILL, {"value": 0.5, "sizes": 8, "out": Ref("arena", 0)}, "layer")


TAKE = Kernel("f32_take_none_flat", 16, (0,))


@pytest.mark.parametrize(
    "name, given, wanted",
    [("tables", np.int64, "i32"), ("shape", np.float32, "i32"), ("x", np.float64, "f32")],
)
def test_constants_are_of_the_declared_type(name: str, given: type, wanted: str) -> None:
    constants = {
        "x": np.zeros(8, np.float32),
        "shape": np.zeros(2, np.int32),
        "tables": np.zeros(9, np.int32),
    }
    refs = {each: Ref("weights", index) for index, each in enumerate(constants)}
    steps = [Step(TAKE, {"rank": 2, "out": Ref("arena", 0), **refs}, "layer")]
    require_declared(steps, list(constants.values()))
    constants[name] = constants[name].astype(given)
    with pytest.raises(
        ValueError, match=f"f32_take_none_flat__cpu_v16_0: {name} is of {wanted}, got {given.__name__}"
    ):
        require_declared(steps, list(constants.values()))
