"""Values that callers give by mistake, by name, and how a refusal must look."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from sparsenet.errors import SparsenetError

VALUES: dict[str, Any] = {
    "None": None,
    "text": "x",
    "empty text": "",
    "long text": "x" * 10**6,
    "bytes": b"x",
    "object": object(),
    "class": dict,
    "nan": float("nan"),
    "inf": float("inf"),
    "-1": -1,
    "0": 0,
    "0.5": 0.5,
    "1": 1,
    "10**30": 10**30,
    "10**400": 10**400,
    "True": True,
    "complex": 1j,
    "empty list": [],
    "ragged list": [[1, 2], [3]],
    "list of None": [None],
    "list of text": ["x"],
    "dict": {},
    "float32 nan": np.float32("nan"),
    "array of no axes": np.array(1.0),
    "array of objects": np.array([None, 1], object),
    "array of complex": np.zeros((2, 2), np.complex64),
    "array of text": np.array(["x"]),
    "array of nothing": np.zeros((0, 4), np.float32),
    "array of five axes": np.zeros((1, 1, 1, 1, 1), np.float32),
}


class Argument(NamedTuple):
    """One argument of a public callable, and the names of those ``VALUES`` that it takes."""

    call: Callable[[Any], object]
    takes: str = ""


def one_line(error: BaseException) -> bool:
    return 0 < len(str(error)) < 500 and "\n" not in str(error)


def holds(argument: Argument) -> list[str]:
    """Faults of the check of ``argument``: a line for each value that is neither taken nor refused as it should be."""
    takes = set(argument.takes.split(", ")) - {""}
    assert takes <= VALUES.keys(), takes - VALUES.keys()
    faults = []
    for name, value in VALUES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                argument.call(value)
            except SparsenetError as error:
                if name in takes or not one_line(error):
                    faults.append(f"{name}: {type(error).__name__}: {error!s:.300}")
            except Exception as error:
                faults.append(f"{name}: {type(error).__name__}: {error!s:.300}")
            else:
                if name not in takes:
                    faults.append(f"{name}: taken without a word")
    return faults


def table(arguments: dict[str, Argument]) -> Any:
    """A test of each: ``def test_...(argument): assert not holds(argument)``."""
    return pytest.mark.parametrize("argument", list(arguments.values()), ids=list(arguments))
