"""The interpreter: one compiled call runs a whole inference.

A tape is a table of int64 rows: the kernel's address, then its arguments (see ``abi``). Every thread has a tape of its
own, cut into sections; how threads go through them together is told in ``team``.
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.abi import ROW_BYTES, WORD_BYTES
from sparsenet.targets.cpu.runtime import jit, team


def address(name: str) -> int:
    """Address of one of ``FUNCTIONS``."""
    return jit.function_address(name, FUNCTIONS[name])


def walk() -> Any:
    """``walk(tape, rows, bases)``: all calls of a piece of tape."""
    from sparsenet.targets.cpu.device import device
    from sparsenet.targets.cpu.vector_ir import call_kernel, load_i64

    @device
    def walk(tape: int, rows: int, bases: int) -> None:
        for row in range(rows):
            start = tape + row * ROW_BYTES
            call_kernel(load_i64(start, 0), start + WORD_BYTES, bases)

    return walk


def walk_timed() -> Any:
    """``walk_timed(tape, rows, bases, stamps)``: as ``walk``; notes the cycles before every row, and at the end."""
    from sparsenet.targets.cpu.device import device
    from sparsenet.targets.cpu.vector_ir import call_kernel, cycle_counter, load_i64, store_i64

    @device
    def walk_timed(tape: int, rows: int, bases: int, stamps: int) -> None:
        for row in range(rows):
            start = tape + row * ROW_BYTES
            store_i64(stamps, row, cycle_counter())
            call_kernel(load_i64(start, 0), start + WORD_BYTES, bases)
        store_i64(stamps, rows, cycle_counter())

    return walk_timed


def _build_run_tape() -> object:
    from numba import cfunc, types

    walk_tape = walk()

    def entry(tape, rows, bases):  # type: ignore[no-untyped-def]
        walk_tape(tape, rows, bases)

    return cfunc(types.void(*[types.int64] * 3))(entry)


#: All arguments are int64. ``run_tape(tape, rows, bases)`` runs one piece of tape; the others are told in ``team``.
FUNCTIONS: dict[str, jit.Build] = {
    "run_tape": _build_run_tape,
    "run": lambda: team.build_run(walk(), walk_timed()),
    "worker": lambda: team.build_worker(walk(), walk_timed()),
    "stop": team.build_stop,
}
