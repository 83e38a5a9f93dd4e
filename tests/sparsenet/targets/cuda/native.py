"""CUDA kernels as machine code for this CPU: whole networks in seconds where Numba's simulator takes hours.

The functions are those that run on a GPU and in the simulator. Only what is particular to CUDA is put into other words:
the numbers of a thread become arguments, local arrays are NumPy's, a shared array is the block's, a barrier is the C
library's. Kernels without barriers run thread after thread; others on as many threads of the CPU as a block has. Every
access to device memory is checked: its bounds, and, of several elements at once, that they are aligned.
"""

from __future__ import annotations

import ast
import ctypes
import dis
import inspect
import textwrap
import threading
import types
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numba import njit

from sparsenet.targets.cuda.plan import CudaPlan, Launch
from sparsenet.targets.cuda.simt import machine
from sparsenet.targets.registry import Kernel

_libc = ctypes.CDLL(None)
_wait, _set = _libc.pthread_barrier_wait, _libc.memset
_wait.argtypes, _wait.restype = [ctypes.c_size_t], ctypes.c_int
_set.argtypes, _set.restype = [ctypes.c_size_t, ctypes.c_int, ctypes.c_size_t], ctypes.c_size_t
_barrier_memory, _fault_memory = ctypes.create_string_buffer(64), ctypes.create_string_buffer(1)
_BARRIER, _FAULT = ctypes.addressof(_barrier_memory), ctypes.addressof(_fault_memory)

#: What a kernel asks for as an attribute of ``cuda`` → the argument that has it.
_INDICES = {
    "threadIdx.x": "_thread",
    "blockIdx.x": "_block_x",
    "blockIdx.y": "_block_y",
    "blockDim.x": "_threads",
    "gridDim.y": "_blocks_y",
}


@njit
def _inside(array, index, lanes):  # type: ignore[no-untyped-def]
    if index < 0 or index + lanes > array.size or index % lanes:
        _set(_FAULT, 1, 1)
        return False
    return True


@njit
def load(array, index):  # type: ignore[no-untyped-def]
    return array[index] if _inside(array, index, 1) else array[0]


@njit
def load2(array, index):  # type: ignore[no-untyped-def]
    at = index if _inside(array, index, 2) else 0
    return array[at], array[at + 1]


@njit
def load4(array, index):  # type: ignore[no-untyped-def]
    at = index if _inside(array, index, 4) else 0
    return array[at], array[at + 1], array[at + 2], array[at + 3]


@njit
def store(array, index, a):  # type: ignore[no-untyped-def]
    if _inside(array, index, 1):
        array[index] = a


@njit
def store2(array, index, a, b):  # type: ignore[no-untyped-def]
    if _inside(array, index, 2):
        array[index], array[index + 1] = a, b


@njit
def store4(array, index, a, b, c, d):  # type: ignore[no-untyped-def]
    if _inside(array, index, 4):
        array[index], array[index + 1], array[index + 2], array[index + 3] = a, b, c, d


@njit
def barrier():  # type: ignore[no-untyped-def]
    _wait(_BARRIER)


#: Functions of ``machine`` → what stands for them.
_REPLACED = {
    machine.load: load,
    machine.load2: load2,
    machine.load4: load4,
    machine.load_shared: load,
    machine.store: store,
    machine.store2: store2,
    machine.store4: store4,
    machine.barrier: barrier,
}


class _Words(ast.NodeTransformer):
    """CUDA's words in a kernel, replaced, and branches that its parameters decide, taken.

    ``shared`` collects the sizes of its shared arrays, as expressions.
    """

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.shared: list[ast.expr] = []
        self._parameters = parameters

    def visit_If(self, node: ast.If) -> Any:
        try:
            taken = eval(compile(ast.Expression(node.test), "<test>", "eval"), dict(self._parameters))
        except NameError:
            return self.generic_visit(node)
        chosen = [self.visit(statement) for statement in (node.body if taken else node.orelse)]
        return chosen or ast.Pass()

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        name = ast.unparse(node)
        if name.startswith("cuda.") and name[5:] in _INDICES:
            return ast.Name(_INDICES[name[5:]], ast.Load())
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = ast.unparse(node.func)
        if name == "cuda.local.array":
            size, dtype = node.args
            return ast.parse(f"_np.empty({ast.unparse(size)}, _np.{ast.unparse(dtype)})", mode="eval").body
        if name == "cuda.shared.array":
            self.shared.append(node.args[0])
            return ast.Name(f"_shared{len(self.shared) - 1}", ast.Load())
        if name == "cuda.syncthreads":
            return ast.parse("_barrier()", mode="eval").body
        return self.generic_visit(node)


def _native(value: Any) -> Any:
    """``value``, compiled if it is a function of ours."""
    ours = isinstance(value, types.FunctionType) and value.__module__.startswith("sparsenet.")
    return _function(value) if ours else value


@cache
def _function(function: types.FunctionType) -> Any:
    """``function`` compiled, with all that it calls."""
    if function in _REPLACED:
        return _REPLACED[function]
    cells = tuple(types.CellType(_native(cell.cell_contents)) for cell in function.__closure__ or ())
    read = {step.argval for step in dis.get_instructions(function) if step.opname == "LOAD_GLOBAL"}
    names = {name: _native(function.__globals__[name]) for name in read if name in function.__globals__}
    return njit(
        types.FunctionType(
            function.__code__,
            {**function.__globals__, **names},
            function.__name__,
            function.__defaults__,
            cells,
        )
    )


@cache
def _compiled(kernel: Kernel) -> tuple[Any, list[int], bool]:
    """What runs all threads of a launch, or one of them; floats of its shared arrays; whether its threads meet."""
    function: Any = kernel.build()
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    parameters = dict(inspect.getclosurevars(function).nonlocals)
    words = _Words(parameters)
    (definition,) = words.visit(tree).body
    extra = [*_INDICES.values(), *(f"_shared{number}" for number in range(len(words.shared)))]
    given = [argument.arg for argument in definition.args.args]
    definition.args.args = [ast.arg(name) for name in (*extra, *given)]
    space = {name: _native(value) for name, value in function.__globals__.items()}
    space |= {name: _native(value) for name, value in parameters.items()}
    space |= {"_np": np, "_barrier": barrier, "_njit": njit}
    name = definition.name
    meets = "_barrier" in ast.unparse(definition) or bool(words.shared)
    every = "_first, _last, _blocks_x"
    source = f"""
@_njit
{ast.unparse(definition)}

@_njit(nogil=True)
def _launch({every}, {", ".join((*extra[3:], *given))}):
    for _block_y in range(_blocks_y):
        for _block_x in range(_blocks_x):
            for _thread in range(_first, _last):
                {name}({", ".join((*extra, *given))})
            {"_barrier()" if meets else ""}
"""
    exec(compile(source, f"<{kernel.name}>", "exec"), space)
    sizes = [int(eval(compile(ast.Expression(size), "<size>", "eval"), space)) for size in words.shared]
    return space["_launch"], sizes, meets


def _run(launch: Launch, memory: Any, weights: Any, tables: Any) -> None:
    run, sizes, meets = _compiled(launch.kernel)
    shared = [np.full(size, np.nan, np.float32) for size in sizes]
    rest = [memory, weights, tables, *launch.integers, launch.tensors, launch.numbers]
    blocks_x, blocks_y = launch.blocks

    def part(first: int, last: int) -> None:
        run(first, last, blocks_x, launch.threads, blocks_y, *shared, *rest)

    if not meets:
        part(0, launch.threads)
    else:
        _libc.pthread_barrier_init(ctypes.c_size_t(_BARRIER), None, launch.threads)
        workers = [threading.Thread(target=part, args=(n, n + 1)) for n in range(launch.threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if _fault_memory.raw != b"\0":
        _fault_memory.raw = b"\0"
        raise AssertionError(
            f"layer '{launch.layer}', {launch.kernel.name}: access out of bounds or not aligned"
        )


def run_plan(plan: CudaPlan, arrays: list[Any]) -> list[Any]:
    """Outputs of ``plan`` for its inputs; everything runs twice, to meet its own leftovers.

    Raises:
        AssertionError: an access out of bounds, or of several elements that are not aligned.
    """
    memory = np.zeros(plan.memory_floats, np.float32)
    for offset, array in plan.constants:
        memory[offset : offset + array.size] = array.reshape(-1)
    for _ in range(2):
        for port, array in zip(plan.inputs, arrays, strict=True):
            memory[port.offset : port.offset + array.size] = array.reshape(-1)
        for launch in plan.launches:
            _run(launch, memory, plan.weights, plan.tables)
    return [memory[p.offset : p.offset + prod(p.shape)].reshape(p.shape).copy() for p in plan.outputs]
