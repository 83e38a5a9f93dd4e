from __future__ import annotations

import json

import numpy as np
import pytest

from sparsenet.text.table import render, shape_text, to_json


def test_numbers_stand_right_words_left_and_nothing_is_a_dash() -> None:
    assert render(
        ("name", "count", "ms"), [("conv", 1234, 0.123456), ("fully", None, 12.0)]
    ).splitlines() == [
        "name   count      ms",
        "-----  -----  ------",
        "conv   1,234  0.1235",
        "fully      -      12",
    ]


def test_no_rows_leave_the_header() -> None:
    assert render(("a", "b"), []) == "a  b\n-  -"


@pytest.mark.parametrize(
    "value, text",
    [(12345.6, "12,346"), (6887.3, "6,887"), (-0.5, "-0.5"), (np.float32(0.25), "0.25"), (True, "True")],
)
def test_cells(value: object, text: str) -> None:
    assert render(("x",), [(value,)]).splitlines()[-1].strip() == text


def test_json_takes_numpy_values_and_has_no_nan() -> None:
    value = {"a": np.arange(2), "b": np.float32(1.5), "c": (float("nan"), np.float64("inf")), "é": None}
    assert json.loads(to_json(value)) == {"a": [0, 1], "b": 1.5, "c": [None, None], "é": None}


def test_the_batch_is_n() -> None:
    assert shape_text((None, 3, 8)) == "N×3×8"
