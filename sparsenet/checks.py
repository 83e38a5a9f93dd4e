"""Checks of arguments of public functions: a wrong type or number becomes one line that names the argument."""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparsenet.errors import InputError, SparsenetError

#: Bytes of a path that Linux takes at most.
LONGEST_PATH = 4096
#: The limit of counts that may be any size that a machine has: a number far beyond it is a slip.
MANY = 2**31 - 1


def whole_number(
    value: object, name: str, most: int = MANY, least: int = 1, error: type[SparsenetError] = InputError
) -> int:
    """``value``, a number from ``least`` to ``most``: an int or what NumPy has of the kind.

    Raises:
        InputError, or ``error``: it is of another type (True and 2.0 are), or out of that range.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise error(f"{name} must be a whole number, got {shown(value)}")
    if not least <= number <= most:
        raise error(f"{name} must be at least {least} and at most {most}, got {shown(number)}")
    return number


def real_number(
    value: object,
    name: str,
    least: float = 0.0,
    most: float = math.inf,
    *,
    above: bool = False,
    error: type[SparsenetError] = InputError,
) -> float:
    """``value``, a finite number from ``least`` to ``most``: a float, an int, or what NumPy has of the kind.

    Args:
        above: whether it must be greater than ``least``.

    Raises:
        InputError, or ``error``: it is of another type (True and a text are), no finite number, or out of that range.
    """
    try:
        given = math.nan if isinstance(value, bool) or not isinstance(value, numbers.Real) else float(value)
    except OverflowError:
        given = math.inf
    if not (math.isfinite(given) and least <= given <= most) or (above and given == least):
        low = f"greater than {least:g}" if above else f"at least {least:g}"
        high = f" and at most {most:g}" if math.isfinite(most) else ""
        raise error(f"{name} must be a number, {low}{high}, got {shown(value)}")
    return given


def items(value: object, name: str, error: type[SparsenetError] = InputError) -> tuple[Any, ...]:
    """``value``, a list or tuple, as a tuple.

    Raises:
        InputError, or ``error``: it is something else; a text is no list of its letters.
    """
    if not isinstance(value, list | tuple):
        raise error(f"{name} must be a list or tuple, got {shown(value)}")
    return tuple(value)


def flag(value: object, name: str, error: type[SparsenetError] = InputError) -> bool:
    """``value`` as True or False.

    Raises:
        InputError, or ``error``: it is neither of them, nor NumPy's.
    """
    if isinstance(value, bool):
        return value
    if type(value).__name__ in ("bool", "bool_") and type(value).__module__ == "numpy":
        return bool(value)
    raise error(f"{name} must be True or False, got {shown(value)}")


def one_of(
    value: object, name: str, choices: Sequence[str], error: type[SparsenetError] = InputError
) -> None:
    """Raise InputError, or ``error``, unless ``value`` is among ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise error(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")


def path_of(value: object, name: str = "path") -> Path:
    """``value``, a str or ``os.PathLike``, as a path that a file can have.

    Raises:
        InputError: it is something else, or holds what no path can.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name} must be a str or a Path, got {shown(value)}")
    text = os.fspath(value)
    if not isinstance(text, str) or "\0" in text:
        raise InputError(f"{name} must be a path that a file can have, got {shown(text)}")
    try:
        long = len(os.fsencode(text)) > LONGEST_PATH
    except UnicodeEncodeError:
        raise InputError(f"{name} must be a path that a file can have, got {ascii(text)[:60]}") from None
    if long:
        raise InputError(f"{name} must be a path of at most {LONGEST_PATH} bytes, got {shown(text)}")
    return Path(text)


def shown(value: object) -> str:
    """``value`` in a few words on one line: numbers and short strings as they are, anything else by its type."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        try:
            text = repr(value)
        except ValueError:  # an int of more digits than Python prints
            text = "a huge number"
        return text if len(text) <= 60 else text[:57] + "..."
    return f"a value of type {type(value).__name__}"
