"""Element types: what each says of itself, and that names are unique."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sparsenet.graph.types import ELEMENT_TYPES, F32, U8


@pytest.mark.parametrize("name", ELEMENT_TYPES)
def test_a_name_tells_kind_and_bits(name: str) -> None:
    element = ELEMENT_TYPES[name]
    assert str(element) == element.name == name
    assert (found := re.fullmatch(r"[fiu](\d+)(?:x(\d+))?", name))
    assert int(found[1]) * int(found[2] or 1) == 8 * element.itemsize
    assert element.is_float == (name[0] == "f")
    assert element.is_signed == (name[0] != "u")


def test_element_types_are_those_of_arrays() -> None:
    assert F32.dtype == np.zeros(1, np.float32).dtype
    assert np.zeros(5, U8.dtype).nbytes == 5 * U8.itemsize
