"""JSON from files of unknown origin: what the standard says, names once, numbers that a machine has."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from sparsenet.errors import MemoryLimitError
from sparsenet.io.files import read_whole
from sparsenet.limits import memory_limit

#: Bytes that a JSON file may have; it takes some thirty times as much in memory.
MAX_BYTES, EXPANSION = 2**26, 32


def parse(text: str | bytes) -> Any:
    """The value that ``text`` is.

    Raises:
        ValueError: it is no JSON, an object has a name twice, a number is beyond 64 bits, or it is too deep.
    """
    try:
        return json.loads(
            text,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_number,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def read(path: str | os.PathLike[str]) -> Any:
    """The value in a regular file.

    Raises:
        OSError: it cannot be read or is no regular file.
        ValueError: what ``parse`` refuses, or far too large a file.
    """
    try:
        return parse(read_whole(path, min(MAX_BYTES, memory_limit() // EXPANSION)))
    except MemoryLimitError as error:
        raise ValueError(str(error)) from None


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) < 21 else 2**64
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"the number {digits:.30} is beyond 64 bits")
    return value


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits:.30} is beyond float64")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name appears twice in one object")
    return result
