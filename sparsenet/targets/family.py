"""Kernel families and their arguments, as the registry lists them."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from sparsenet.graph.types import ELEMENT_TYPES, ElementType

T = TypeVar("T")
Kind = Literal["pointer", "integer", "number"]


class Dot(IntEnum):
    """By which instructions kernels multiply quads of unsigned bytes by quads of signed ones: a tile parameter, `dot`.

    Results are the same to the bit.

    Attributes:
        PLAIN: none of its own, any machine.
        WORDS: pairs of 16-bit numbers, ``vpmaddwd``, any x86.
        BYTES: pairs of bytes, ``vpmaddubsw``, where no weights' sums of pairs are beyond 16 bits.
        VNNI: whole quads, ``vpdpbusd``.
        SMULL: bytes of which both are signed, ``smull``, any AArch64. Pixels are taken less ``middle``.
        SDOT: whole quads of such, ``sdot``.
        USDOT: whole quads, ``usdot``.
    """

    PLAIN, WORDS, BYTES, VNNI, SMULL, SDOT, USDOT = range(7)

    @property
    def is_x86(self) -> bool:
        """Whether it is an x86's."""
        return Dot.WORDS <= self <= Dot.VNNI

    @property
    def is_arm(self) -> bool:
        """Whether it is an AArch64's."""
        return self >= Dot.SMULL

    @property
    def middle(self) -> int:
        """What is subtracted from every byte of pixels before it is multiplied: sums of products lack as much."""
        return 128 if self in (Dot.SMULL, Dot.SDOT) else 0


class Clip(IntFlag):
    """What rounded numbers may need to become bytes, beside saturation to 0 and 255: a tile parameter, `clip`.

    Attributes:
        WORDS: saturation to 16 bits, which some pass.
        ZERO: a zero point.
        BOUNDS: bounds of each channel.
    """

    WORDS, ZERO, BOUNDS = 1, 2, 4

    def arguments(self, zero: T, low: T, high: T) -> tuple[T, ...]:
        """Those of the three that are needed; bounds are behind a zero point."""
        return (zero, low, high) if Clip.BOUNDS in self else (zero,) if Clip.ZERO in self else ()


#: Whatever may come.
CLIP_ANY = Clip.WORDS | Clip.ZERO | Clip.BOUNDS


class Argument(NamedTuple):
    """One argument of a kernel.

    Attributes:
        name: by which the planner gives it and the kernel reads it.
        kind: an address, an int64 or a float32.
        pointee: of a pointer, the type of the array's numbers: "" for the kernel's own, "any" for several.
    """

    name: str
    kind: Kind
    pointee: str = ""


#: What may stand behind a name and a colon; a name without is an int64.
_NUMBERS: dict[str, Kind] = {"": "integer", "f32": "number"}
#: What may stand there of a pointer: a type, or that an array holds several, as streams of weights and offsets do.
_POINTEES = {*ELEMENT_TYPES, "any", ""}


def signature(text: str, own: Kind = "number") -> tuple[Argument, ...]:
    """Arguments as the tables write them: ``rows`` is an int64, ``eps:f32`` a number, ``*x`` a pointer.

    A pointer is to numbers of the family's own type, or of the one that is written, as in ``*row_offsets:i32``; to
    several in one array, or masks, which no type has, in ``*stream:any``. ``value:own`` is one number of the family's
    type, and its kind ``own``.

    Raises:
        ValueError: an unknown type is written, or a name that none can be.
    """
    return tuple(_argument(word, {**_NUMBERS, "own": own}) for word in text.split())


def _argument(word: str, numbers: dict[str, Kind]) -> Argument:
    name, colon, written = word.partition(":")
    pointer, name = name.startswith("*"), name.removeprefix("*")
    known = _POINTEES if pointer else numbers
    if not name.isidentifier() or written not in known or (colon and not written):
        raise ValueError(f"'{word}' declares no argument: write 'name', 'name:f32', '*name' or '*name:type'")
    return Argument(name, "pointer", written) if pointer else Argument(name, numbers[written])


@dataclass(frozen=True)
class Family:
    """One algorithm, for one element type.

    Attributes:
        element: the type of the tensor that it makes, and of all arrays that are declared without one.
        algorithm: the op, the weight format and the layout, as ``conv_csr_rows``.
        module: target and file of its ``kernels``, as ``cpu.softmax``, whose ``build(kernel)`` returns the Numba
            cfunc, or for a GPU the function that ``simt.machine.entry`` makes a kernel; of one from elsewhere the
            target and any name.
        declared: the arguments in order, as ``signature`` reads them; those of the epilogue follow. A CUDA kernel's are
            its int64 parameters, between the three arrays and what the epilogue reads.
        tile: names of the tile parameters, in the order of the last part of a kernel's name.
        summary: what it computes, for the support table.
        build: of one from elsewhere, what ``build`` of a module is otherwise.
    """

    element: ElementType
    algorithm: str
    module: str
    declared: str
    tile: tuple[str, ...]
    summary: str
    build: Callable[[Any], object] | None = None

    @cached_property
    def name(self) -> str:
        """Key of the registry's table, as ``f32_conv_csr_rows``."""
        return f"{self.element}_{self.algorithm}"

    @cached_property
    def signature(self) -> tuple[Argument, ...]:
        """The arguments in order, without the epilogue's."""
        return signature(self.declared, "number" if self.element.is_float else "integer")

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The names of the arguments, in order."""
        return tuple(argument.name for argument in self.signature)


def source_hash(function: Callable[..., object]) -> str:
    """Hash of the file in which ``function`` stands, or of its own lines; if nobody has these, another each time."""
    try:
        file = Path(inspect.getsourcefile(function) or "")
        source = file.read_bytes() if file.is_file() else inspect.getsource(function).encode()
    except (OSError, TypeError):
        source = os.urandom(16)
    return hashlib.sha256(source).hexdigest()[:16]


def by_name(*families: Family) -> dict[str, Family]:
    """A table of families by their names."""
    return {family.name: family for family in families}
