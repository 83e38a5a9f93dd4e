"""From a plan and its kernels to one object file: constants, tape, and the two functions that walk it.

All is one module of LLVM, so that nothing but these functions and the weights has a name outside: several networks can
be part of one program. Of the machine it needs ``memcpy``, ``memmove`` and ``memset`` at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm

from sparsenet.c_library.kernels import Code
from sparsenet.c_library.machine import Machine
from sparsenet.errors import MissingCompilerError
from sparsenet.plan.plan import Plan
from sparsenet.targets.abi import ARENA, FIRST_TENSOR, WEIGHTS, WORD_BYTES

#: What ``run`` and ``init`` return.
STATUS = {"ok": 0, "error_argument": -1, "error_arena": -2, "error_state": -3}
#: Bytes behind the arena that kernels may read in whole vectors.
SLACK_BYTES = 64
ALIGNMENT = 64
#: A call on the tape: the number of its kernel in the lower bits of a word, that of its words above, its arguments.
_KERNEL_BITS = 16
#: What libc, and where a network raises to powers libm, have on every machine.
_LIBC = frozenset({"memcpy", "memmove", "memset", "pow", "powf"})
#: Functions of libm that every machine has an instruction for, which sets no ``errno`` → LLVM's name of that.
_INSTRUCTIONS = {"sqrt": "llvm.sqrt.f64", "sqrtf": "llvm.sqrt.f32"}


def arena_bytes(plan: Plan) -> int:
    """Bytes of working memory of one run."""
    return plan.arena_bytes + SLACK_BYTES


def symbols(name: str) -> list[str]:
    """The functions that the object file defines."""
    return [f"{name}_init", f"{name}_run"]


def object_file(plan: Plan, codes: Sequence[Code], machine: Machine, name: str) -> bytes:
    """The object file of a plan for one thread without rings, whose kernels have ``codes``.

    Raises:
        MissingCompilerError: LLVM cannot make code of it.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    features = ",".join(f"+{feature}" for feature in sorted(machine.features))
    code = llvm.Target.from_triple(machine.triple).create_target_machine(
        cpu=machine.cpu, features=features, opt=3, reloc="pic", codemodel="small"
    )
    try:
        module = llvm.parse_assembly(_module(plan, machine.triple, str(code.target_data), name))
        for number, kernel in enumerate(codes):
            module.link_in(_kernel(kernel, number))
        for function in module.functions:
            if function.name.startswith("kernel."):
                function.linkage = "internal"
        module.verify()
        passes = llvm.create_new_module_pass_manager()
        passes.add_global_dead_code_eliminate_pass()
        passes.run(module, llvm.create_pass_builder(code, llvm.create_pipeline_tuning_options(3)))
        _require_self_contained(module)
        result: bytes = code.emit_object(module)
    except RuntimeError as error:
        raise MissingCompilerError(f"LLVM makes no code for {machine.name}: {error}") from error
    return result


def _kernel(code: Code, number: int) -> Any:
    """The module of a kernel, whose function alone is known outside, as ``kernel.<number>``.

    Numba's names for the rest count what its process had compiled before: the same library shall have the same bytes.
    """
    module = llvm.parse_bitcode(code.bitcode)
    for i, function in enumerate(module.functions):
        if function.name == code.entry:
            function.name = f"kernel.{number}"
            function.linkage = "external"
        elif function.name in _INSTRUCTIONS:
            function.name = _INSTRUCTIONS[function.name]
        elif not function.is_declaration:
            function.name = f"function.{number}.{i}"
            function.linkage = "internal"
    for i, variable in enumerate(module.global_variables):
        if not variable.is_declaration:
            variable.name = f"variable.{number}.{i}"
            variable.linkage = "internal"
    return module


def _require_self_contained(module: Any) -> None:
    for value in (*module.functions, *module.global_variables):
        if value.is_declaration and not value.name.startswith("llvm.") and value.name not in _LIBC:
            raise MissingCompilerError(f"a kernel needs '{value.name}', which no board has")


def _module(plan: Plan, triple: str, layout: str, name: str) -> str:
    tape, count = _tape(plan), len(plan.used_kernels)
    kernels = ", ".join(f"ptr @kernel.{number}" for number in range(count))
    declarations = "\n".join(f"declare i32 @kernel.{number}(ptr, ptr, i64, i64)" for number in range(count))
    weights = "\\" + plan.weights.tobytes().hex("\\")  # every byte is escaped
    place = f'section ".rodata.{name}_weights", align {ALIGNMENT}'
    tensors = len(plan.inputs) + len(plan.outputs)
    parameters = "".join(f", ptr %t{i}" for i in range(tensors))
    missing = "\n".join(
        f"  %null{i} = icmp eq ptr %t{i}, null\n  %missing{i + 1} = or i1 %missing{i}, %null{i}"
        for i in range(tensors)
    )
    places = "\n".join(
        f"  %a{i} = ptrtoint ptr %t{i} to i64\n"
        f"  %b{i} = getelementptr i64, ptr %bases, i64 {FIRST_TENSOR + i}\n  store i64 %a{i}, ptr %b{i}"
        for i in range(tensors)
    )
    return f"""
target triple = "{triple}"
target datalayout = "{layout}"

@kernels = internal constant [{count} x ptr] [{kernels}]
@tape = internal constant [{len(tape)} x i64] [{", ".join(f"i64 {word}" for word in tape)}], align {WORD_BYTES}
@weights = internal constant [{plan.weights.nbytes} x i8] c"{weights}", {place}

{declarations}

define i32 @{name}_init(ptr %context, ptr %arena, i64 %bytes) {{
  %no_context = icmp eq ptr %context, null
  %no_arena = icmp eq ptr %arena, null
  %missing = or i1 %no_context, %no_arena
  br i1 %missing, label %null, label %check
check:
  %address = ptrtoint ptr %arena to i64
  %below = and i64 %address, {ALIGNMENT - 1}
  %odd = icmp ne i64 %below, 0
  %small = icmp ult i64 %bytes, {arena_bytes(plan)}
  %wrong = or i1 %odd, %small
  br i1 %wrong, label %arena_error, label %good
good:
  store ptr %arena, ptr %context
  ret i32 {STATUS["ok"]}
arena_error:
  ret i32 {STATUS["error_arena"]}
null:
  ret i32 {STATUS["error_argument"]}
}}

define i32 @{name}_run(ptr %context{parameters}) {{
  %result = alloca [2 x i64], align 16
  %error = alloca [2 x i64], align 16
  %bases = alloca [{FIRST_TENSOR + tensors} x i64], align 16
  %missing0 = icmp eq ptr %context, null
{missing}
  br i1 %missing{tensors}, label %null, label %begin
begin:
  %arena = load ptr, ptr %context
  %not_ready = icmp eq ptr %arena, null
  br i1 %not_ready, label %state, label %places
places:
  %w = ptrtoint ptr @weights to i64
  %wp = getelementptr i64, ptr %bases, i64 {WEIGHTS}
  store i64 %w, ptr %wp
  %m = ptrtoint ptr %arena to i64
  %mp = getelementptr i64, ptr %bases, i64 {ARENA}
  store i64 %m, ptr %mp
{places}
  %base = ptrtoint ptr %bases to i64
  %end = getelementptr i64, ptr @tape, i64 {len(tape)}
  br label %next
next:
  %row = phi ptr [@tape, %places], [%following, %call]
  %done = icmp eq ptr %row, %end
  br i1 %done, label %good, label %call
call:
  %head = load i64, ptr %row
  %number = and i64 %head, {2**_KERNEL_BITS - 1}
  %words = lshr i64 %head, {_KERNEL_BITS}
  %slot = getelementptr ptr, ptr @kernels, i64 %number
  %kernel = load ptr, ptr %slot
  %first = getelementptr i64, ptr %row, i64 1
  %args = ptrtoint ptr %first to i64
  %status = call i32 %kernel(ptr %result, ptr %error, i64 %args, i64 %base)
  %following = getelementptr i64, ptr %row, i64 %words
  br label %next
good:
  ret i32 {STATUS["ok"]}
null:
  ret i32 {STATUS["error_argument"]}
state:
  ret i32 {STATUS["error_state"]}
}}
"""


def _tape(plan: Plan) -> list[int]:
    """The calls of the only thread, each as long as its kernel's arguments."""
    number = {kernel: i for i, kernel in enumerate(plan.used_kernels)}
    assert plan.threads == 1
    assert not plan.rings
    assert len(number) < 2**_KERNEL_BITS
    words = []
    for row, kernel in zip(plan.tapes[0].tolist(), plan.kernels[0], strict=True):
        size = 1 + len(kernel.arguments)
        words += [number[kernel] | size << _KERNEL_BITS, *row[1:size]]
    return words
