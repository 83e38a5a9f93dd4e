"""A block of vectors in registers: Numba's type for it, and how operations over it are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from sparsenet.targets.cpu.vector_ir.llvm import displaced, typed_pointer, vector_type

Emit = Callable[..., Any]


class TileType(types.Type):
    """Numba's view of a tile: ``count`` vectors of ``lanes`` float32, always in registers."""

    def __init__(self, count: int, lanes: int) -> None:
        self.count, self.lanes = count, lanes
        super().__init__(name=f"Tile({count}x{lanes})")


@register_model(TileType)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: TileType) -> None:
        vector = vector_type(numba_type.lanes)
        super().__init__(manager, numba_type, ir.LiteralStructType([vector] * numba_type.count))


class Block:
    """A register block of ``rows x vectors`` vectors of ``lanes`` float32, for ``outputs`` channels.

    In memory, vector ``(i, j)`` of a channel stands at ``pointer + i * row_stride + j * lanes * 4``.
    """

    def __init__(self, lanes: int, rows: int = 1, vectors: int = 1, outputs: int = 1) -> None:
        self.lanes, self.rows, self.vectors, self.outputs = lanes, rows, vectors, outputs
        self.count = outputs * rows * vectors
        self.type = TileType(self.count, lanes)
        self._ir = ir.LiteralStructType([vector_type(lanes)] * self.count)

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
        block = ir.Constant(self._ir, ir.Undefined)
        for i, vector in enumerate(vectors):
            block = b.insert_value(block, vector, i)
        return block

    def _addresses(self, b: ir.IRBuilder, pointer: ir.Value, row_stride: ir.Value) -> list[ir.Value]:
        starts = [pointer]
        for _ in range(1, self.rows):
            starts.append(b.add(starts[-1], row_stride))
        return [displaced(b, start, j * self.lanes * 4) for start in starts for j in range(self.vectors)]

    def _load(self, b: ir.IRBuilder, address: ir.Value) -> ir.Value:
        vector = b.load(typed_pointer(b, address, vector_type(self.lanes)))
        vector.align = 4
        return vector
