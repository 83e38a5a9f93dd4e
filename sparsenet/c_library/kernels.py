"""The kernels of a plan as LLVM's bitcode for its machine, made by a process of its own and kept on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sparsenet.c_library.machine import Machine
from sparsenet.errors import MissingCompilerError
from sparsenet.targets.cpu.cross import Job, unpack
from sparsenet.targets.cpu.runtime import jit
from sparsenet.targets.registry import Kernel


class Code(NamedTuple):
    """A kernel's code.

    Attributes:
        entry: name of its function, ``int32 (void *result, void *error, int64 args, int64 bases)``.
        bitcode: a module that defines it.
    """

    entry: str
    bitcode: bytes


def code_of(kernels: Sequence[Kernel], machine: Machine) -> list[Code]:
    """The code of each of ``kernels``, compiled if it is not kept from before.

    Raises:
        MissingCompilerError: what compiles kernels cannot be imported, or fails.
    """
    by_file = {f"{kernel.name}.{machine.cpu}.bc": kernel for kernel in kernels}

    def make(names: list[str]) -> list[bytes]:
        return _compile([by_file[name] for name in names], machine)

    parts = [unpack(data) for data in jit.kept_code(jit.fingerprint(), list(by_file), make)]
    return [Code(entry.decode(), bitcode) for entry, bitcode in parts]


def _compile(kernels: Sequence[Kernel], machine: Machine) -> list[bytes]:
    job = Job(
        machine.triple,
        machine.cpu,
        sorted(machine.features),
        [(k.family, k.lanes, list(k.tile), list(k.epilogue)) for k in kernels],
    )
    # This very package, wherever the process begins; what the user limits this machine to is not meant for another.
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    limits = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
    environment = {name: value for name, value in os.environ.items() if name not in limits}
    done = subprocess.run(  # this interpreter
        [sys.executable, "-m", "sparsenet.targets.cpu.cross"],
        input=json.dumps(job._asdict()).encode(),
        capture_output=True,
        check=False,
        env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [
            f"exit status {done.returncode}"
        ]
        raise MissingCompilerError(f"kernels for {machine.name} cannot be compiled: {lines[-1]}")
    return unpack(done.stdout)
