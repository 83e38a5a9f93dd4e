"""Any function of one number, of maps in quads of bytes: a table of its 256 results."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import inlined
from sparsenet.targets.cpu.pointwise import build_pointwise
from sparsenet.targets.cpu.vector_ir import Tile
from sparsenet.targets.cpu.vector_ir.byte_table import byte_table
from sparsenet.targets.registry import Kernel


def build(kernel: Kernel) -> Any:
    """``table``: 256 bytes."""
    read = arguments(kernel)
    open_table, look_up = byte_table(Tile(kernel.element, kernel.lanes, 1, kernel.parameter("vectors")))

    def begin(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        return open_table(given.table)

    def one_tile(table, quads, args, bases, channel, y, x_bytes):  # type: ignore[no-untyped-def]
        return look_up(table, quads)

    return build_pointwise(kernel, inlined(begin), inlined(one_tile))
