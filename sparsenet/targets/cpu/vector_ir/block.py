"""A block of vectors in registers: Numba's type for it, and how operations over it are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from sparsenet.graph.types import ElementType
from sparsenet.targets.cpu.vector_ir.llvm import (
    constant,
    displaced,
    load_several,
    loads_together,
    narrowed,
    opaque,
    scalar_type,
    splat,
    typed_pointer,
)
from sparsenet.targets.lane_masks import mask_bytes

Emit = Callable[..., Any]


class TileType(types.Type):
    """Numba's view of a tile: ``count`` vectors of ``lanes`` numbers, always in registers."""

    def __init__(self, element: ElementType, lanes: int, count: int) -> None:
        self.element, self.lanes, self.count = element, lanes, count
        super().__init__(name=f"Tile({count}x{lanes}x{element})")

    @property
    def ir(self) -> ir.Type:
        """LLVM's type for it."""
        return ir.LiteralStructType([ir.VectorType(scalar_type(self.element), self.lanes)] * self.count)


@register_model(TileType)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: TileType) -> None:
        super().__init__(manager, numba_type, numba_type.ir)


class Block:
    """A register block of ``rows x vectors`` vectors of ``lanes`` numbers, for ``outputs`` channels.

    In memory, vector ``(i, j)`` of a channel is stored at ``pointer + i * row_stride + j * vector_bytes``.

    Attributes:
        element: type of the numbers.
        item: bytes of one number.
        vector_bytes: bytes of one vector.
        mask_bytes: bytes of an integer with a bit per lane, as masks in memory have one for each vector.
        zero: 0 as a kernel writes it: integers are int64 outside of vectors.
        lowest: the least number, -infinity of floats.
    """

    def __init__(
        self, element: ElementType, lanes: int, rows: int = 1, vectors: int = 1, outputs: int = 1
    ) -> None:
        self.element, self.lanes = element, lanes
        self.rows, self.vectors, self.outputs = rows, vectors, outputs
        self.count = outputs * rows * vectors
        self.item, self.vector_bytes = element.itemsize, element.itemsize * lanes
        self.mask_bytes = mask_bytes(lanes)
        self.zero: Any = np.float32(0) if element.is_float else 0
        self.lowest: Any = np.float32(-np.inf) if element.is_float else int(np.iinfo(element.dtype).min)
        self.type = TileType(element, lanes, self.count)
        self._scalar = scalar_type(element)
        self._vector = ir.VectorType(self._scalar, lanes)
        self._number = types.float32 if element.is_float else types.int64

    def _intrinsic(self, arguments: Sequence[types.Type], result: types.Type, emit: Emit) -> Any:
        """An intrinsic over ``arguments``; ``emit(builder, *values)`` returns vectors, a value or None."""

        def generate(context: Any, b: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
            out = emit(b, *values)
            if isinstance(out, list):
                return self._join(b, out)
            return context.get_dummy_value() if out is None else out

        names = ", ".join(f"a{i}" for i in range(len(arguments)))
        scope: dict[str, Any] = {"signature": result(*arguments), "generate": generate}
        source = f"def operation(typing_context, {names}):\n    return signature, generate\n"
        exec(source, scope)  # noqa: S102 - Numba reads an intrinsic's arity off its signature
        return intrinsic(scope["operation"])

    def _split(self, b: ir.IRBuilder, block: ir.Value) -> list[ir.Value]:
        return [b.extract_value(block, i) for i in range(self.count)]

    def _join(self, b: ir.IRBuilder, vectors: Sequence[ir.Value]) -> ir.Value:
        block = ir.Constant(self.type.ir, ir.Undefined)
        for i, vector in enumerate(vectors):
            block = b.insert_value(block, vector, i)
        return block

    def _addresses(self, b: ir.IRBuilder, pointer: ir.Value, row_stride: ir.Value) -> list[ir.Value]:
        starts = self._row_starts(b, pointer, row_stride)
        return [displaced(b, start, j * self.vector_bytes) for start in starts for j in range(self.vectors)]

    def _row_starts(self, b: ir.IRBuilder, pointer: ir.Value, row_stride: ir.Value) -> list[ir.Value]:
        starts = [pointer]
        for _ in range(1, self.rows):
            starts.append(b.add(starts[-1], row_stride))
        return starts

    def _load(self, b: ir.IRBuilder, address: ir.Value) -> ir.Value:
        vector = b.load(typed_pointer(b, address, self._vector))
        vector.align = self.item
        return vector

    def _load_run(self, b: ir.IRBuilder, address: ir.Value, count: int) -> list[ir.Value]:
        """``count`` vectors behind each other; NEON has instructions for up to four."""
        out: list[ir.Value] = []
        parts = -(-count // loads_together())
        while len(out) < count:
            together = -(-(count - len(out)) // parts)  # as alike as can be
            parts -= 1
            if together < 3:  # as pairs, LLVM finds them by itself
                out += [self._load(b, displaced(b, address, i * self.vector_bytes)) for i in range(together)]
            else:
                out += load_several(b, address, self._vector, together)
            # Instructions advance the address by themselves if it is that of the one before.
            address = opaque(b, displaced(b, address, together * self.vector_bytes))
        return out

    def _store(self, b: ir.IRBuilder, vector: ir.Value, address: ir.Value) -> None:
        b.store(vector, typed_pointer(b, address, self._vector)).align = self.item

    def _apart(self, b: ir.IRBuilder, vector: ir.Value) -> ir.Value:
        """A vector of elements as one of the numbers that they consist of."""
        parts = self.element.parts
        if parts == 1:
            return vector
        return b.bitcast(vector, ir.VectorType(ir.IntType(self._scalar.width // parts), parts * self.lanes))

    def _joined(self, b: ir.IRBuilder, numbers: ir.Value) -> ir.Value:
        """The inverse of ``_apart``."""
        return numbers if self.element.parts == 1 else b.bitcast(numbers, self._vector)

    def _splat(self, b: ir.IRBuilder, number: ir.Value) -> ir.Value:
        return splat(b, narrowed(b, number, self.element), self.lanes)

    def _constant(self, value: float) -> ir.Value:
        return constant(value, self._vector)
