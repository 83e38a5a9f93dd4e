"""Machine code: compiled once by Numba, kept on disk, loaded by llvmlite alone.

A kernel is compiled to a relocatable object. Objects are kept in a cache directory under a name that hashes the kernel
sources, the compiler versions and the CPU, so a stale one is never found. Loading needs neither Numba nor a compiler:
a warm start imports llvmlite only.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm

from sparsenet.files import write_atomically

_lock = threading.Lock()
_addresses: dict[str, int] = {}
_engines: list[llvm.ExecutionEngine] = []  # own the loaded code: never freed


@cache
def cpu_features() -> frozenset[str]:
    """Names of the host CPU's features in LLVM's spelling; ``NUMBA_CPU_FEATURES`` replaces them."""
    override = os.environ.get("NUMBA_CPU_FEATURES")
    if override is not None:
        return frozenset(word[1:] for word in override.split(",") if word.startswith("+"))
    return frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)


@cache
def max_lanes() -> int:
    """float32 lanes of the longest vector this CPU computes at full rate; ``SPARSENET_LANES`` may lower it."""
    features = cpu_features()
    lanes = 16 if "avx512f" in features else 8 if {"avx2", "fma"} <= features else 4
    return min(lanes, int(os.environ.get("SPARSENET_LANES", lanes)))


@cache
def cache_directory() -> Path:
    """Where objects are kept: ``SPARSENET_CACHE_DIR``, else the user's cache folder, else a temporary one."""
    chosen = os.environ.get("SPARSENET_CACHE_DIR")
    if chosen:
        candidates = [Path(chosen)]
    else:
        user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        candidates = [Path(user) / "sparsenet"]
    for path in candidates:
        try:
            path.mkdir(parents=True, exist_ok=True)
            if os.access(path, os.W_OK):
                return path
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="sparsenet-"))


@cache
def fingerprint() -> str:
    """Hash of everything but the kernel's name that its machine code depends on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    digest.update((Path(__file__).parents[1] / "ops.py").read_bytes())
    for word in (version("numba"), version("llvmlite"), sys.version, sys.platform, llvm.get_host_cpu_name()):
        digest.update(word.encode())
    digest.update(",".join(sorted(cpu_features())).encode())
    return digest.hexdigest()[:16]


def function_address(name: str, build: Callable[[], object]) -> int:
    """Address of the machine code called ``name``; ``build()`` returns the Numba ``cfunc`` if it must be compiled."""
    with _lock:
        if name not in _addresses:
            path = cache_directory() / fingerprint() / f"{name}.o"
            _addresses[name] = _load(_read(path) or _compile(path, build))
        return _addresses[name]


def _compile(path: Path, build: Callable[[], object]) -> bytes:
    function = build()
    symbol = function._wrapper_name.encode()  # type: ignore[attr-defined]
    code = function._library._get_compiled_object()  # type: ignore[attr-defined]
    payload: bytes = len(symbol).to_bytes(4, "little") + symbol + code
    with contextlib.suppress(OSError):  # a full or read-only disk costs the next start, not this one
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(payload).digest() + payload)
    return payload


def _read(path: Path) -> bytes | None:
    """What ``_compile`` kept, or None if there is nothing whole: a damaged object would crash the process."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


def _load(payload: bytes) -> int:
    length = int.from_bytes(payload[:4], "little")
    symbol, code = payload[4 : 4 + length].decode(), payload[4 + length :]
    # One engine per object: kernels compiled in different processes may share symbol names.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(symbol))


_NUMBA_RUNTIME = (
    "NRT_Free",
    "NRT_incref",
    "NRT_decref",
    "numba_do_raise",
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_runtime_build_excinfo_struct",
    "numba_unpickle",
)


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # Numba's wrapper refers to its runtime on paths that kernels never take (they allocate and raise nothing).
    for symbol in _NUMBA_RUNTIME:
        if not llvm.address_of_symbol(symbol):
            llvm.add_symbol(symbol, ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value)


def _target_machine() -> llvm.TargetMachine:
    _initialise()
    return llvm.Target.from_default_triple().create_target_machine()
