"""Numbers and names in C."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.targets.c99.kernel import C_TYPES

#: NumPy's type → its type in C.
_OF_DTYPE = {element.dtype: name for element, name in C_TYPES.items()}


def c_type(array: npt.NDArray[Any]) -> str:
    """Type of the numbers of ``array``."""
    return _OF_DTYPE[array.dtype.newbyteorder("=")]


def number(value: float) -> str:
    """A float32 in hexadecimal, which is exact; infinity and NaN by their names in ``<math.h>``."""
    with np.errstate(over="ignore"):
        exact = float(np.float32(value))
    if math.isfinite(exact):
        return f"{exact.hex()}f"
    return "NAN" if math.isnan(exact) else f"{'-' if exact < 0 else ''}INFINITY"


def numbers(array: npt.NDArray[Any]) -> list[str]:
    """The numbers of an array."""
    flat = array.reshape(-1)
    if flat.dtype.kind == "f":
        finite = np.isfinite(flat)
        return [
            f"{x.hex()}f" if ok else number(x) for x, ok in zip(flat.tolist(), finite.tolist(), strict=True)
        ]
    return [str(x) for x in flat.tolist()]


def wrapped(words: Sequence[str], width: int = 116) -> Iterable[str]:
    """Words with commas between them, in lines."""
    line = ""
    for word in words:
        if line and len(line) + len(word) + 2 > width:
            yield line
            line = ""
        line += f"{' ' if line else '    '}{word},"
    if line:
        yield line


def array(declaration: str, words: Sequence[str]) -> str:
    """The definition of an array; one without numbers has a 0, as C has none of no size."""
    words = words or ["0"]
    return f"{declaration}[{len(words)}] = {{\n" + "\n".join(wrapped(words)) + "\n};\n"
