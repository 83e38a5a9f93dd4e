"""Checks of what callers hand to public functions: a wrong type or number becomes one line that names the argument."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from pathlib import Path

from sparsenet.errors import InputError


def whole_number(value: object, name: str, most: int) -> int:
    """``value``, a number from 1 to ``most``: an int or what NumPy has of the kind.

    Raises:
        InputError: it is of another type (True and 2.0 are), or out of that range.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise InputError(f"{name} must be a whole number, got {shown(value)}")
    if not 1 <= number <= most:
        raise InputError(f"{name} must be at least 1 and at most {most}, got {shown(number)}")
    return number


def flag(value: object, name: str) -> bool:
    """``value`` as True or False.

    Raises:
        InputError: it is neither of them, nor NumPy's.
    """
    if isinstance(value, bool):
        return value
    if type(value).__name__ in ("bool", "bool_") and type(value).__module__ == "numpy":
        return bool(value)
    raise InputError(f"{name} must be True or False, got {shown(value)}")


def one_of(value: object, name: str, choices: Sequence[str]) -> None:
    """Raise InputError unless ``value`` is among ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")


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
        os.fsencode(text)
    except UnicodeEncodeError:
        raise InputError(f"{name} must be a path that a file can have, got {ascii(text)[:60]}") from None
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
