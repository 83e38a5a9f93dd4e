"""Writing a C library: header, static and shared library, test program."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparsenet.c_library.archive import archive
from sparsenet.c_library.check_program import check_program, example_inputs
from sparsenet.c_library.header import header
from sparsenet.c_library.interface import Interface
from sparsenet.c_library.kernels import code_of
from sparsenet.c_library.linker import linker_for, shared_library
from sparsenet.c_library.machine import Machine, machine_of
from sparsenet.c_library.program import object_file, symbols
from sparsenet.checks import flag, path_of
from sparsenet.engine import Engine
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph
from sparsenet.io.files import require_output_folder, write_output
from sparsenet.io.metadata import meaning
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from sparsenet.plan.plan import Plan
from sparsenet.text.c_names import network_name

_CMAKE = """\
# In a project: add_subdirectory(this-folder), target_link_libraries(app {name}).
cmake_minimum_required(VERSION 3.13)
add_library({name} STATIC IMPORTED GLOBAL)
set_target_properties({name} PROPERTIES
  IMPORTED_LOCATION ${{CMAKE_CURRENT_LIST_DIR}}/lib{name}.a
  INTERFACE_INCLUDE_DIRECTORIES ${{CMAKE_CURRENT_LIST_DIR}}
  INTERFACE_LINK_LIBRARIES m)
"""


@dataclass(frozen=True)
class Library:
    """What was written.

    Attributes:
        name: what its files and functions are called after.
        machine: what it is for.
        files: bytes of each file by its name.
        plan: what it runs.
        arena_bytes: working memory that a program must give it.
        shared: whether there is a shared library; otherwise no linker for the machine was found.
    """

    name: str
    machine: Machine
    files: dict[str, int]
    plan: Plan
    arena_bytes: int
    shared: bool


def compile_c(
    graph: Graph,
    directory: str | os.PathLike[str],
    target: str | None = None,
    *,
    cpu: str | None = None,
    name: str | None = None,
    sparse: bool = True,
) -> Library:
    """Write a C library of ``graph`` for another machine to the folder ``directory``.

    Args:
        target: ``aarch64-linux``, or a level of x86-64: ``x86-64-v2``, ``x86-64-v3``, ``x86-64-v4``.
        cpu: the processor, in place of the target, for its own instructions: ``cortex-a76``, ``znver4``, …
        name: what all names in it begin with; by default that of the folder.
        sparse: ``False`` for dense kernels only.

    Raises:
        InputError: an argument has the wrong type or value, or the folder cannot be written or holds other files.
        GraphError: the graph breaks a rule, or has sizes that are not fixed.
        MemoryLimitError: it would take more memory than ``limits.memory_limit``.
        MissingCompilerError: Numba cannot be imported, or its compiler fails.
    """
    folder, machine = path_of(directory, "directory"), machine_of(target, cpu)
    name = network_name(name, folder)
    require_place(folder, name)
    is_open = [info.name for info in graph.inputs if info.open]
    if is_open:
        raise InputError(f"the sizes of '{is_open[0]}' are not fixed; a C library is made for one size")
    kernels = "auto" if flag(sparse, "sparse") else "dense"
    plan = make_plan(graph, Options(kernels, 1, rings=False, target=machine.target))  # type: ignore[arg-type]
    interface = Interface.of(plan, name, f"{graph.name} for {machine.name}", meaning(graph.metadata))
    code = object_file(plan, code_of(plan.used_kernels, machine), machine, name)
    inputs = example_inputs(interface)
    outputs = _expected(graph, interface, inputs)
    files = {
        f"{name}.h": header(interface).encode(),
        f"lib{name}.a": archive(code, symbols(name)),
        f"{name}_test.c": check_program(interface, inputs, outputs).encode(),
        "CMakeLists.txt": _CMAKE.format(name=name).encode(),
    }
    linker = linker_for(machine)
    if linker is not None:
        files[f"lib{name}.so"] = shared_library(linker, code, f"lib{name}.so")
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        write_output(folder / file, data)
    if linker is None:
        (folder / f"lib{name}.so").unlink(missing_ok=True)  # an older one, of another network
    sizes = {file: len(data) for file, data in files.items()}
    return Library(name, machine, sizes, plan, interface.arena_bytes, linker is not None)


def require_place(folder: Path, name: str) -> None:
    """Check, before work begins, that a library can be written to ``folder``, which may hold an older one.

    Raises:
        InputError: it cannot, or holds other files.
    """
    require_output_folder(folder)
    if folder.exists():
        own = {f"{name}.h", f"lib{name}.a", f"lib{name}.so", f"{name}_test.c", "CMakeLists.txt"}
        if not (folder / f"lib{name}.a").exists():
            own.remove("CMakeLists.txt")  # it is of another project
        others = sorted(file.name for file in folder.iterdir() if file.name not in own)
        if others:
            raise InputError(
                f"{folder}: holds '{others[0]}', which is none of the library's; choose another folder"
            )


def _expected(graph: Graph, interface: Interface, inputs: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """What this machine computes; NaN behind the valid elements of an output of dynamic length."""
    results = Engine(graph, threads=1).run(inputs)
    whole = {}
    for tensor in interface.outputs:
        array = whole[tensor.info.name] = np.full((1, *tensor.shape), np.nan, np.float32)
        if tensor.info.name in results:
            got = results[tensor.info.name]
            array[tuple(map(slice, got.shape))] = got
    for info in (tensor.info for tensor in interface.outputs if tensor.info.partial):
        assert info.partial is not None
        whole[info.partial.count][:] = results[info.name].shape[info.partial.axis]
    return whole
