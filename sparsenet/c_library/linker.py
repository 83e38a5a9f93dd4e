"""Shared libraries, where this machine has a linker for the board."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from sparsenet.c_library.machine import Machine
from sparsenet.errors import MissingCompilerError


def linker_for(machine: Machine) -> str | None:
    """A linker that makes libraries for ``machine``: LLVM's, or GNU's; None if there is none."""
    own = machine.triple.partition("-")[0] == platform.machine()
    names = ("ld.lld", f"{machine.tools}-ld", *(("ld",) if own else ()))
    return next(filter(None, map(shutil.which, names)), None)


def shared_library(linker: str, code: bytes, file_name: str) -> bytes:
    """The shared library ``file_name`` of one object file; it is bound to no other library.

    Raises:
        MissingCompilerError: the linker fails.
    """
    with tempfile.TemporaryDirectory(prefix="sparsenet-") as folder:
        given, made = Path(folder) / "library.o", Path(folder) / file_name
        given.write_bytes(code)
        options = ["-shared", "-soname", file_name, "-z", "noexecstack", "-z", "relro", "-z", "now"]
        command = [linker, *options, "-o", str(made), str(given)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a linker
        if done.returncode:
            raise MissingCompilerError(f"{linker} makes no shared library: {done.stderr.strip()}")
        return made.read_bytes()
