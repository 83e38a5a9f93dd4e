"""What tensors are made of: element types and shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
#: Sizes of the axes; None is the batch.
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class ElementType:
    """The type of a tensor's numbers, of which each takes ``itemsize`` bytes; a copy is the same object.

    Attributes:
        name: as kernels are named and their arguments declared: a letter and the bits, ``f32`` or ``u8``; of several in
            one, how many, ``u8x4``.
        dtype: the same for NumPy.
        parts: numbers that one element consists of.
    """

    name: str
    dtype: np.dtype[Any]
    parts: int = 1

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return self.dtype.itemsize

    @property
    def is_float(self) -> bool:
        """Whether it has fractions, infinities and NaN."""
        return self.dtype.kind == "f"

    @property
    def is_signed(self) -> bool:
        """Whether it has negative numbers."""
        return self.dtype.kind != "u"

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str], ElementType], tuple[str]]:
        return _named, (self.name,)


F32 = ElementType("f32", np.dtype(np.float32))
I64 = ElementType("i64", np.dtype(np.int64))
I32 = ElementType("i32", np.dtype(np.int32))
U16 = ElementType("u16", np.dtype(np.uint16))
I8 = ElementType("i8", np.dtype(np.int8))
U8 = ElementType("u8", np.dtype(np.uint8))
#: Channels of a *quad*: bytes of a pixel's consecutive channels as one number, channel 4 i + j in byte j, lowest first
QUAD = 4
#: A quad of four equal bytes is one of them times this.
EVERY_BYTE = 0x01010101
U8X4 = ElementType("u8x4", np.dtype(np.uint32), QUAD)

#: Every element type by its name.
ELEMENT_TYPES = {element.name: element for element in (F32, I64, I32, U16, I8, U8, U8X4)}


def _named(name: str) -> ElementType:
    return ELEMENT_TYPES[name]
