"""Kernels for a machine that is not this one: Numba's front end, LLVM's code for another triple.

It runs as a process of its own, ``python -m sparsenet.targets.cpu.cross``: what kernels call is compiled once in a
process, for one machine. It reads a ``Job`` as JSON, and writes the kernels' bitcode as ``pack`` frames it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple


class Job(NamedTuple):
    """What is to be compiled.

    Attributes:
        triple: the machine, as LLVM names it.
        cpu: the processor, as LLVM names it.
        features: those that kernels may use, in LLVM's spelling.
        kernels: family, lanes, tile and epilogue of each kernel.
    """

    triple: str
    cpu: str
    features: list[str]
    kernels: list[tuple[str, int, list[int], list[str]]]


def pack(parts: Sequence[bytes]) -> bytes:
    """Each part behind its length, 8 bytes."""
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def unpack(data: bytes) -> list[bytes]:
    """What ``pack`` joined."""
    parts, start = [], 0
    while start < len(data):
        end = start + 8 + int.from_bytes(data[start : start + 8], "little")
        parts.append(data[start + 8 : end])
        start = end
    return parts


def compile_kernels(job: Job) -> list[bytes]:
    """Of every kernel its function's name and its bitcode, packed; this process compiles for that machine alone."""
    from numba.core.registry import cpu_target

    context: Any = cpu_target.target_context
    context._internal_codegen = _codegen(job)
    # What chooses instructions looks here (see ``runtime.jit.cpu_features``).
    os.environ["NUMBA_CPU_FEATURES"] = _enabled(job)

    from sparsenet.targets.registry import Kernel

    parts = []
    for family, lanes, tile, epilogue in job.kernels:
        function: Any = Kernel(family, lanes, tuple(tile), tuple(epilogue)).build()
        # Not the wrapper, which would call Python if there were an error: kernels make none.
        name = function._wrapper_name.removeprefix("cfunc.")
        parts.append(pack([name.encode(), function._library.emit_bitcode()]))
    return parts


def _enabled(job: Job) -> str:
    return ",".join(f"+{feature}" for feature in job.features)


def _codegen(job: Job) -> Any:
    import llvmlite.binding as llvm
    from numba.core.codegen import AOTCodeLibrary, AOTCPUCodegen

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()

    class Library(AOTCodeLibrary):
        def get_pointer_to_function(self, name: str) -> int:
            """There is none: the code is for another machine."""
            self._ensure_finalized()
            return 0

    class Codegen(AOTCPUCodegen):
        _library_class = Library

        def _init(self, llvm_module: Any) -> None:
            target = llvm.Target.from_triple(job.triple)
            self._tm_features = _enabled(job)
            self._tm = target.create_target_machine(
                cpu=job.cpu, features=self._tm_features, opt=3, reloc="pic", codemodel="small"
            )
            self._target_data = self._tm.target_data
            self._data_layout = str(self._target_data)
            self._loopvect, self._opt_level = False, 0

        def _create_empty_module(self, name: str) -> Any:
            module = super()._create_empty_module(name)
            module.triple = job.triple
            return module

        def set_env(self, env_name: str, env: Any) -> None:
            """Nothing calls this code from Python."""

    return Codegen("sparsenet")


if __name__ == "__main__":
    sys.stdout.buffer.write(pack(compile_kernels(Job(**json.load(sys.stdin)))))
