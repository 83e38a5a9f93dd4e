"""What one core can do at most: multiply-adds in registers, and reading the second-level cache."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

import llvmlite.binding as llvm

from bench.kernels.one_kernel import aligned

#: Sums in turn: more than latency times multiply-adds per cycle (4 x 2), fewer than registers.
SUMS = {16: 24, 8: 13, 4: 13}
FMA_ITERATIONS = 32 * 1024
#: Vectors read per iteration; floats of the buffer (1 MB: in any server's second-level cache, far from the first).
READS, READ_FLOATS, READ_TIMES = 8, 256 * 1024, 4


@dataclass
class Peak:
    """Two loops over vectors of ``lanes`` float32, compiled for this CPU.

    Attributes:
        fma: does ``flops`` operations, 2 per multiply-add.
        read: reads ``read_bytes``.
    """

    lanes: int
    fma: Callable[[], None] = field(init=False)
    read: Callable[[], None] = field(init=False)
    flops: float = field(init=False)
    read_bytes: float = 4.0 * READ_FLOATS * READ_TIMES

    def __post_init__(self) -> None:
        self.flops = 2.0 * FMA_ITERATIONS * SUMS[self.lanes] * self.lanes
        self._buffer = aligned((READ_FLOATS,), 1.0)
        self._sums = aligned((READS * self.lanes,), 1.0)
        self._engine = _compile(_fma_loop(self.lanes) + _read_loop(self.lanes))
        sums, buffer = self._sums.ctypes.data, self._buffer.ctypes.data
        fma, read = self._function("fma_loop", 2), self._function("read_loop", 4)
        count = READ_FLOATS // self.lanes // READS
        self.fma = lambda: fma(FMA_ITERATIONS, sums)
        self.read = lambda: read(READ_TIMES, count, buffer, sums)

    def _function(self, name: str, arguments: int) -> Callable[..., None]:
        signature = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)
        function: Callable[..., None] = signature(self._engine.get_function_address(name))
        return function


def _compile(source: str) -> llvm.ExecutionEngine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(source), machine)
    engine.finalize_object()
    return engine


def _fma_loop(lanes: int) -> str:
    vector, name, numbers = f"<{lanes} x float>", f"@llvm.fma.v{lanes}f32", range(SUMS[lanes])
    sums = "".join(f"  %s{i} = phi {vector} [ %x, %entry ], [ %t{i}, %loop ]\n" for i in numbers)
    steps = "".join(
        f"  %t{i} = call {vector} {name}({vector} %x, {vector} %x, {vector} %s{i})\n" for i in numbers
    )
    stores = "".join(f"  store volatile {vector} %t{i}, ptr %p, align {4 * lanes}\n" for i in numbers)
    return f"""
declare {vector} {name}({vector}, {vector}, {vector})
define void @fma_loop(i64 %n, i64 %address) {{
entry:
  %p = inttoptr i64 %address to ptr
  %given = load volatile {vector}, ptr %p, align {4 * lanes}
  %x = fdiv {vector} %given, %given
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{sums}{steps}  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %exit
exit:
{stores}  ret void
}}
"""


def _read_loop(lanes: int) -> str:
    vector, numbers = f"<{lanes} x float>", range(READS)
    sums = "".join(f"  %s{i} = phi {vector} [ %start, %again ], [ %t{i}, %loop ]\n" for i in numbers)
    steps = "".join(
        f"""  %o{i} = add i64 %first, {i}
  %a{i} = getelementptr {vector}, ptr %from, i64 %o{i}
  %v{i} = load {vector}, ptr %a{i}, align {4 * lanes}
  %t{i} = fadd {vector} %s{i}, %v{i}
"""
        for i in numbers
    )
    stores = "".join(f"  store volatile {vector} %t{i}, ptr %p, align {4 * lanes}\n" for i in numbers)
    return f"""
define void @read_loop(i64 %times, i64 %n, i64 %source, i64 %address) {{
entry:
  %p = inttoptr i64 %address to ptr
  %from = inttoptr i64 %source to ptr
  %start = load volatile {vector}, ptr %p, align {4 * lanes}
  br label %again
again:
  %time = phi i64 [ 0, %entry ], [ %later, %done ]
  br label %loop
loop:
  %i = phi i64 [ 0, %again ], [ %next, %loop ]
{sums}  %first = mul i64 %i, {READS}
{steps}  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
{stores}  %later = add i64 %time, 1
  %repeat = icmp slt i64 %later, %times
  br i1 %repeat, label %again, label %exit
exit:
  ret void
}}
"""
