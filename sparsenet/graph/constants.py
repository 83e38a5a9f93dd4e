"""The constants of a graph: in the form they were read in, until somebody asks for the dense float32 array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sparsenet.graph.types import FloatArray


class Encoded(Protocol):
    """A constant in another form than a dense float32 array, valid and finite; nobody changes it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        ...

    def dense(self) -> FloatArray:
        """The array, in memory of its own."""
        ...


@dataclass
class _Cell:
    """An encoded constant, and the array that was made of it, once there is one."""

    encoded: Encoded
    array: FloatArray | None = None


class Constants(MutableMapping[str, FloatArray]):
    """Arrays by name; an encoded one is decoded when it is first asked for, and the array kept, as it may be changed.

    A copy shares arrays and encoded constants with what it was made of.
    """

    def __init__(self, constants: Mapping[str, FloatArray] | None = None) -> None:
        self._held: dict[str, FloatArray | _Cell] = {}
        if constants is not None:
            self._held.update(constants._held if isinstance(constants, Constants) else constants)

    def hold(self, name: str, encoded: Encoded) -> None:
        """Take ``encoded`` as the constant of this name."""
        self._held[name] = _Cell(encoded)

    def folded(self) -> Constants:
        """A copy that decodes by itself: what is decoded here, and has not been changed, is encoded there."""
        folded = Constants()
        for name in self:
            form = self._encoded(name)
            folded._held[name] = self[name] if form is None else _Cell(form)
        return folded

    def __getitem__(self, name: str) -> FloatArray:
        held = self._held[name]
        if not isinstance(held, _Cell):
            return held
        if held.array is None:
            held.array = held.encoded.dense()
        return held.array

    def __setitem__(self, name: str, array: FloatArray) -> None:
        self._held[name] = array

    def __delitem__(self, name: str) -> None:
        del self._held[name]

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def copy(self) -> Constants:
        """A shallow copy: arrays are shared, as by a dict's copy."""
        return Constants(self)

    __copy__ = copy

    def __or__(self, other: Mapping[str, FloatArray]) -> Constants:
        both = self.copy()
        both._held.update(Constants(other)._held)
        return both

    def __ior__(self, other: Mapping[str, FloatArray]) -> Constants:
        self._held.update(Constants(other)._held)
        return self

    def __repr__(self) -> str:
        return f"Constants({', '.join(f'{name}: {shape_of(self, name)}' for name in self)})"

    def _shape(self, name: str) -> tuple[int, ...]:
        held = self._held[name]
        return held.encoded.shape if isinstance(held, _Cell) and held.array is None else self[name].shape

    def _encoded(self, name: str) -> Encoded | None:
        held = self._held[name]
        if not isinstance(held, _Cell):
            return None
        if held.array is not None and not _same(held.array, held.encoded):
            return None
        return held.encoded

    def _unfolded(self, name: str) -> bool:
        held = self._held[name]
        return not isinstance(held, _Cell) or held.array is not None


def shape_of(constants: Mapping[str, FloatArray], name: str) -> tuple[int, ...]:
    """Shape of a constant, which is not decoded for it."""
    return constants._shape(name) if isinstance(constants, Constants) else constants[name].shape


def encoded(constants: Mapping[str, FloatArray], name: str) -> Encoded | None:
    """The form that a constant was read in; None for an array that was made here, or has been changed since."""
    return constants._encoded(name) if isinstance(constants, Constants) else None


def arrays(constants: Mapping[str, FloatArray]) -> Iterator[tuple[str, FloatArray]]:
    """The constants that are arrays now, by name; what is still encoded was checked when it was read."""
    for name in constants:
        if not isinstance(constants, Constants) or constants._unfolded(name):
            yield name, constants[name]


def _same(array: FloatArray, form: Encoded) -> bool:
    """Whether two arrays agree to the last bit."""
    if array.shape != form.shape or array.dtype != np.float32:
        return False
    ours, theirs = (part.reshape(-1).view(np.uint32) for part in (array, form.dense()))
    return np.array_equal(ours, theirs)
