"""Machine code: compiled once by Numba, kept on disk, loaded without it.

A kernel is compiled to a relocatable object. Objects are kept on disk (``sparsenet.io.cache``) under a name that hashes
the kernel sources, the compiler versions and the CPU, so a stale one is never found. A warm start needs neither Numba
nor LLVM; only objects that ``elf`` cannot load, those of other platforms, take LLVM's loader.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from sparsenet.io.cache import cache_directory as cache_directory  # scripts ask for it here
from sparsenet.io.cache import ignore, keep, kept
from sparsenet.locks import Lock
from sparsenet.targets.cpu.runtime import elf
from sparsenet.targets.cpu.runtime.host import host_features, host_identity

#: Returns the Numba ``cfunc`` of a function.
Build = Callable[[], object]

_lock = Lock()
_addresses: dict[str, int] = {}
_loaded: dict[bytes, int] = {}  # by hash: what bundles brought
_unkept: dict[str, bytes] = {}  # what was compiled here and could not be written


@cache
def cpu_features() -> frozenset[str]:
    """Names of the host CPU's features in LLVM's spelling; ``NUMBA_CPU_FEATURES`` replaces them."""
    override = os.environ.get("NUMBA_CPU_FEATURES")
    if override is not None:
        return frozenset(word[1:] for word in override.split(",") if word.startswith("+"))
    return host_features()


@cache
def fingerprint() -> str:
    """Hash of everything but the kernel's name that its machine code depends on."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.read_bytes())
    for word in (*map(_version_of, ("numba", "llvmlite")), sys.version, sys.platform, host_identity()):
        digest.update(word.encode())
    digest.update(",".join([*sorted(cpu_features()), os.environ.get("NUMBA_CPU_NAME", "")]).encode())
    return digest.hexdigest()[:16]


def _sources() -> list[Path]:
    """The files that machine code is made from; those of lowering are not among them."""
    package = Path(__file__).parents[3]
    cpu = package / "targets" / "cpu"
    code = [path for folder in ("kernels", "vector_ir") for path in (cpu / folder).rglob("*.py")]
    code += [*cpu.glob("*.py"), *(cpu / "runtime" / f"{name}.py" for name in ("tape", "team"))]
    code += [package / "targets" / f"{name}.py" for name in ("abi", "family", "lane_masks", "registry")]
    code.append(package / "graph" / "types.py")
    code += [package / "graph" / "ops" / f"{name}.py" for name in ("activations", "epilogues")]
    return sorted(code)


def _version_of(package: str) -> str:
    """The file that tells a package's version: importing the package, or its metadata, takes far longer."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return (Path(folders[0]) / "_version.py").read_text() if folders else "none"


def function_address(name: str, build: Build) -> int:
    """Address of the machine code called ``name``; ``build`` makes it if it must be compiled."""
    return function_addresses({name: build})[0]


def function_addresses(functions: Mapping[str, Build]) -> list[int]:
    """Addresses of several functions by name, loaded together."""
    with _lock:
        missing = {name: _payload(name, build) for name, build in functions.items() if name not in _addresses}
        if missing:
            _addresses.update(zip(missing, load(list(missing.values())), strict=True))
        return [_addresses[name] for name in functions]


def payload(name: str, build: Build) -> bytes:
    """The machine code called ``name`` as bytes that ``load`` takes."""
    with _lock:
        return _payload(name, build)


def load(payloads: Sequence[bytes]) -> list[int]:
    """Addresses of the functions in ``payloads``, which are trusted as one trusts a program.

    Raises:
        elf.ObjectFileError: no code for this machine.
    """
    lengths = [int.from_bytes(payload[:4], "little") for payload in payloads]
    pairs = zip(payloads, lengths, strict=True)
    entries, objects = zip(*((p[4 : 4 + n].decode(), p[4 + n :]) for p, n in pairs), strict=True)
    try:
        if sys.platform == "linux":
            return elf.load(objects, entries)
    except elf.UnsupportedObjectError:
        pass
    return [_load_by_llvm(code, entry) for code, entry in zip(objects, entries, strict=True)]


def load_once(payloads: Sequence[bytes]) -> list[int]:
    """Addresses as of ``load``, but code that was loaded this way before is not loaded again: code is never freed."""
    digests = [hashlib.sha256(payload).digest() for payload in payloads]
    with _lock:
        new = {d: payload for d, payload in zip(digests, payloads, strict=True) if d not in _loaded}
        if new:
            _loaded.update(zip(new, load(list(new.values())), strict=True))
        return [_loaded[digest] for digest in digests]


def kept_code(folder: str, names: Sequence[str], make: Callable[[list[str]], Sequence[bytes]]) -> list[bytes]:
    """What is kept under these names in a folder of the cache; ``make`` makes what is not, and that is kept."""
    with _lock:
        found = {name: _unkept.get(f"{folder}/{name}") or _read(folder, name) for name in names}
        missing = [name for name, data in found.items() if data is None]
        for name, data in zip(missing, make(missing) if missing else [], strict=True):
            found[name] = data
            if not keep(folder, name, _checksum(folder, name, data) + data):
                _unkept[f"{folder}/{name}"] = data
        return [data for data in found.values() if data is not None]


def _payload(name: str, build: Build) -> bytes:
    (found,) = kept_code(fingerprint(), [f"{name}.o"], lambda _: [_compile(build)])
    return found


def _compile(build: Build) -> bytes:
    function = build()
    symbol = function._wrapper_name.encode()  # type: ignore[attr-defined]
    code: bytes = function._library._get_compiled_object()  # type: ignore[attr-defined]
    return len(symbol).to_bytes(4, "little") + symbol + code


def _read(folder: str, name: str) -> bytes | None:
    """Code kept by an earlier compilation; None if none is whole: damaged code would crash the process."""
    data = kept(folder, name)
    if data is None:
        return None
    if _checksum(folder, name, data[32:]) != data[:32]:
        ignore(folder, name, "it is damaged")
        return None
    return data[32:]


def _checksum(folder: str, name: str, payload: bytes) -> bytes:
    """Checksum of the code and its name: one object in another's place is damage too."""
    return hashlib.sha256(f"{folder}/{name}\0".encode() + payload).digest()


def _load_by_llvm(code: bytes, entry: str) -> int:
    import llvmlite.binding as llvm

    _initialise_llvm()
    try:
        # One engine per object: kernels compiled in different processes may share symbol names.
        machine = llvm.Target.from_default_triple().create_target_machine()
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    except (RuntimeError, llvm.ParseError) as error:
        raise elf.ObjectFileError(f"not an object file for this machine: {error}") from error
    engine.finalize_object()
    # Never freed, not even when the interpreter ends: daemon threads may still be in this code.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))
    address = int(engine.get_function_address(entry))
    if not address:
        raise elf.ObjectFileError(f"no function '{entry[:80]}' in it")
    return address


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
def _initialise_llvm() -> None:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # Numba's wrapper refers to its runtime on paths that kernels never take (they allocate and raise nothing).
    for symbol in _NUMBA_RUNTIME:
        if not llvm.address_of_symbol(symbol):
            llvm.add_symbol(symbol, ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value)
