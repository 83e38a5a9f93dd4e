"""Attributes of ops: what values a file may give them, and what they are if it gives none.

What a number means for an op (that an axis exists, say) is for its shape rule to check.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparsenet.graph.ops.sizes import MAX_RANK

#: Fused ops an epilogue may have, and numbers and addresses they read: each kernel is compiled for its epilogue, and
#: all its arguments are in one row of the tape.
MAX_FUSED_OPS, MAX_EPILOGUE_ARGUMENTS = 8, 10
#: Integers in a file are at most so large.
MAX_SIZE = 2**31 - 1


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


#: A marker in place of a default: the attribute must be given.
REQUIRED = _Required()


@dataclass(frozen=True)
class Attribute:
    """An attribute of an op.

    Attributes:
        holds: whether a JSON value is one that it may have.
        default: what it is if a node does not say; ``REQUIRED`` if a node must.
    """

    holds: Callable[[Any], bool]
    default: Any = REQUIRED


def is_int(value: Any) -> bool:
    """Whether ``value`` is an integer that a file may hold."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_SIZE


def is_number(value: Any) -> bool:
    """Whether ``value`` is an integer or a finite number."""
    return is_int(value) or (isinstance(value, float) and math.isfinite(value))


def is_ints(value: Any) -> bool:
    """Whether ``value`` is a list of integers."""
    return isinstance(value, list) and all(is_int(v) for v in value)


def integer(default: Any = REQUIRED) -> Attribute:
    """An attribute that is an integer."""
    return Attribute(is_int, default)


def number(default: Any = REQUIRED) -> Attribute:
    """An attribute that is a number."""
    return Attribute(is_number, default)


def flag(default: Any = REQUIRED) -> Attribute:
    """An attribute that is true or false."""
    return Attribute(lambda value: isinstance(value, bool), default)


def word(*words: str, default: Any = REQUIRED) -> Attribute:
    """An attribute that is one of these strings."""
    return Attribute(lambda value: isinstance(value, str) and value in words, default)


def integers(default: Any = REQUIRED) -> Attribute:
    """An attribute that is a list of integers, at most one for each axis of a tensor."""
    return Attribute(lambda value: is_ints(value) and len(value) <= MAX_RANK, default)


def any_integers(default: Any = REQUIRED) -> Attribute:
    """An attribute that is a list of any number of integers."""
    return Attribute(is_ints, default)


def two_numbers(default: Any = REQUIRED) -> Attribute:
    """An attribute that is a list of two numbers."""
    return Attribute(
        lambda value: isinstance(value, list) and len(value) == 2 and all(is_number(v) for v in value),
        default,
    )


def is_epilogue(value: Any) -> bool:
    """Whether ``value`` is a list of [name, *numbers]; which fused ops there are is for ``check_node`` to say."""
    return (
        isinstance(value, list)
        and len(value) <= MAX_FUSED_OPS
        and all(
            isinstance(step, list)
            and 0 < len(step) <= MAX_EPILOGUE_ARGUMENTS
            and isinstance(step[0], str)
            and all(is_number(v) for v in step[1:])
            for step in value
        )
    )


EPILOGUE = Attribute(is_epilogue, ())
